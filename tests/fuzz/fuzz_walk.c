/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a document: both walks, and a layout of what they find, whose result must be a document again.
 * Texts that are not UTF-8 are legal to the walks alone. */
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "csfle/walk.h"
#include "tests/fuzz/fuzz_csfle.h"

static const uint8_t key_id[KT_UUID_NBYTES], opened[] = {5, 0, 0, 0, 0};

static const uint8_t *key_of(const void *context, uint32_t key)
{
    (void)context;
    (void)key;
    return key_id;
}

/* Seals some, opens some, leaves some; which, the input decides. */
static void decide(struct kt_ops *ops, const uint8_t *data, size_t nbytes)
{
    for (size_t i = 0; i < ops->count; i++) {
        struct kt_op *op = &ops->v[i];
        if (op->action == KT_FRAME)
            continue;
        op->action = KT_KEEP + data[(i * 7 + 3) % nbytes] % 3;
        if (op->action == KT_SEAL)
            op->algorithm = KT_RANDOM;
        if (op->action == KT_OPEN) {
            op->type = KT_BSON_DOCUMENT;
            op->hole = 0;
            op->opened_nbytes = sizeof opened;
        }
    }
}

static bool is_strict(const uint8_t *data, size_t nbytes)
{
    return kt_bson_check_value(KT_BSON_DOCUMENT, kt_span_of(data, nbytes)) == KT_OK;
}

static void check_document(const uint8_t *out, size_t nbytes, bool strict)
{
    struct kt_ops ops = {0};
    struct kt_walk_fault fault;
    kt_must(kt_walk_payloads(out, 0, (uint32_t)nbytes, &ops, &fault) == KT_OK);
    kt_must(!strict || is_strict(out, nbytes));
    kt_ops_free(&ops);
}

static void lay_out(const uint8_t *data, size_t nbytes, struct kt_ops *ops, bool strict)
{
    decide(ops, data, nbytes);
    struct kt_layout layout = {data, opened, key_of, NULL};
    uint64_t size = kt_layout_nbytes((uint32_t)nbytes, ops->v, ops->count);
    uint8_t *out = calloc(1, size);
    kt_must(out && kt_layout_write(&layout, 0, (uint32_t)nbytes, ops->v, ops->count, out, 0) == size);
    check_document(out, size, strict);
    free(out);
    size = kt_layout_set_nbytes(&layout, 0, ops->v, ops->count);
    if (size == 0)
        return;
    out = calloc(1, size);
    kt_must(out && kt_layout_set_write(&layout, ops->v, ops->count, out, 0) == size);
    check_document(out, size, strict);
    free(out);
}

static void show_paths(const uint8_t *data, const struct kt_ops *ops)
{
    char path[40];
    for (size_t i = 0; i < ops->count; i++)
        kt_op_path(data, ops, 0, i, path, sizeof path);
    struct kt_span id;
    (void)kt_doc_id(data, 0, &id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static struct kt_schema_map *map;
    if (!map)
        map = kt_fuzz_schema();
    const struct kt_schema *schema = kt_schema_map_at(map, 0);
    struct kt_span names[4];
    struct kt_pointers pointers = {names};
    struct kt_ops ops = {0};
    struct kt_walk_fault fault;
    kt_must(kt_schema_pointers(schema) <= 4);
    bool strict = is_strict(data, nbytes);
    bool whole = kt_walk_payloads(data, 0, (uint32_t)nbytes, &ops, &fault) == KT_OK;
    kt_must(whole || !strict);
    if (whole) {
        show_paths(data, &ops);
        lay_out(data, nbytes, &ops, strict);
    }
    ops.count = 0;
    kt_must(whole == (kt_walk_schema(schema, data, 0, (uint32_t)nbytes, &ops, &pointers, &fault) == KT_OK));
    if (whole) {
        show_paths(data, &ops);
        lay_out(data, nbytes, &ops, strict);
    }
    kt_ops_free(&ops);
    return 0;
}
