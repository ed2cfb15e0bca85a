/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "jobs/live.h"

#define RULE                                                                                                 \
    "{\"encrypt\": {\"keyId\": [{\"$binary\": {\"base64\": \"AAAAAAAAAAAAAAAAAAAAAA==\", \"subType\": "      \
    "\"04\"}}], "                                                                                            \
    "\"algorithm\": \"AEAD_AES_256_CBC_HMAC_SHA_512-Random\"}}"

static bson_t *json(const char *text)
{
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
    cr_assert_not_null(doc, "%s", error.message);
    return doc;
}

static bool names(const struct kt_live_ns *ns, const char *name)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, &ns->projection, name);
}

Test(live_projection, the_shard_key_is_read_too)
{
    struct kt_schema_map *map;
    struct kt_error err;
    struct kt_namespace named = {.name = "a.b"};
    struct kt_live_ns ns = {.ns = &named};
    bson_t *schemas =
        json("{\"a.b\": {\"bsonType\": \"object\", \"properties\": {\"n\": {\"bsonType\": \"object\", "
             "\"properties\": {\"c\": " RULE "}}}}}");
    bson_t *key = json("{\"country\": 1, \"n.x\": \"hashed\", \"_id\": 1}");
    cr_assert_eq(kt_schema_map_new(&map, kt_span_of(bson_get_data(schemas), schemas->len), "test", &err),
                 KT_OK, "%s", err.message);
    named.schema = kt_schema_map_find(map, "a.b");
    bson_init(&ns.projection);
    bson_copy_to(key, &ns.facts.shard_key);
    kt_live_project(&ns);
    cr_assert_not(ns.whole);
    cr_assert(names(&ns, "_id"));
    cr_assert(names(&ns, "n.c"));
    cr_assert(names(&ns, "n.x"));
    cr_assert(names(&ns, "country"));
    bson_destroy(&ns.projection);
    bson_destroy(&ns.facts.shard_key);
    bson_destroy(schemas);
    bson_destroy(key);
    kt_schema_map_free(map);
}
