/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a schemaMap; what compiles is walked over the schemaMap itself. */
#include "csfle/bson_type.h"
#include "csfle/walk.h"
#include "tests/fuzz/fuzz_csfle.h"

static void walk_under(const struct kt_schema *schema, const uint8_t *data, size_t nbytes)
{
    struct kt_ops ops = {0};
    struct kt_span *names = calloc(kt_schema_pointers(schema) + 1, sizeof *names);
    struct kt_pointers pointers = {names};
    kt_must(names && kt_walk_schema(schema, data, 0, (uint32_t)nbytes, &ops, &pointers, NULL) == KT_OK);
    for (size_t i = 0; i < ops.count; i++)
        kt_must(ops.v[i].rule == KT_NO_RULE || ops.v[i].rule < kt_schema_rules(schema));
    free(names);
    kt_ops_free(&ops);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    struct kt_schema_map *map;
    struct kt_error err;
    enum kt_status status = kt_schema_map_new(&map, kt_span_of(data, nbytes), "fuzz", &err);
    if (status != KT_OK) {
        kt_must(status == KT_E_SCHEMA && map == NULL);
        return 0;
    }
    for (size_t i = 0; i < kt_schema_map_count(map); i++)
        walk_under(kt_schema_map_at(map, i), data, nbytes);
    kt_schema_map_free(map);
    return 0;
}
