/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/payload.h"
#include "csfle/walk.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

#define RANDOM "'AEAD_AES_256_CBC_HMAC_SHA_512-Random'"
#define DETERMINISTIC "'AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic'"
#define UUID_1 "{'$binary': {'base64': 'AQAAAAAAAAAAAAAAAAAAAA==', 'subType': '04'}}"
#define UUID_2 "{'$binary': {'base64': 'AgAAAAAAAAAAAAAAAAAAAA==', 'subType': '04'}}"

static void needs_shared(void)
{
    if (!kt_shared_present())
        cr_skip_test("the shared test data is not there");
}

static const struct kt_rule *rule_of(const struct kt_schema *schema, const char *path)
{
    for (size_t i = 0; i < kt_schema_rules(schema); i++)
        if (strcmp(kt_schema_rule(schema, i)->path, path) == 0)
            return kt_schema_rule(schema, i);
    cr_assert_fail("no rule for %s", path);
    return NULL;
}

Test(schema, the_corpus_schema, .init = needs_shared)
{
    bson_t *doc = kt_shared_json("vectors/csfle-corpus/corpus-schema.json"), map = BSON_INITIALIZER;
    cr_assert_not_null(doc);
    BSON_APPEND_DOCUMENT(&map, "db.coll", doc);
    struct kt_schema_map *compiled;
    struct kt_error err = {0};
    cr_assert_eq(kt_schema_map_new(&compiled, kt_bson_span(&map), "corpus", &err), KT_OK, "%s", err.message);
    const struct kt_schema *schema = kt_schema_map_find(compiled, "db.coll");
    cr_assert_not_null(schema);
    cr_assert_eq(kt_schema_rules(schema), 240);
    size_t by_pointer = 0, deterministic = 0;
    for (size_t i = 0; i < 240; i++) {
        by_pointer += kt_schema_rule(schema, i)->pointer != KT_NO_POINTER;
        deterministic += kt_schema_rule(schema, i)->algorithm == KT_DETERMINISTIC;
    }
    cr_expect_eq(by_pointer, 90);
    cr_expect_eq(deterministic, 60);
    cr_expect_eq(kt_schema_pointers(schema), 5);
    const struct kt_rule *rule = rule_of(schema, "local_string_det_auto_id.value");
    cr_expect_eq(rule->algorithm, KT_DETERMINISTIC);
    cr_expect_eq(rule->types, kt_bson_type_bit(KT_BSON_STRING));
    cr_expect_eq(rule->pointer, KT_NO_POINTER);
    kt_schema_map_free(compiled);
    bson_destroy(&map);
    bson_destroy(doc);
}

/* Each rule's field stands in the corpus half as its name says, and the key names are where pointers look. */
Test(schema, the_corpus_documents_under_their_schema, .init = needs_shared)
{
    bson_t *doc = kt_shared_json("vectors/csfle-corpus/corpus-schema.json"), map = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&map, "db.coll", doc);
    struct kt_schema_map *compiled;
    cr_assert_eq(kt_schema_map_new(&compiled, kt_bson_span(&map), "corpus", NULL), KT_OK);
    const struct kt_schema *schema = kt_schema_map_at(compiled, 0);
    size_t nbytes;
    uint8_t *half =
        kt_read_file(kt_shared_path("vectors/csfle-corpus/bson/corpus-encrypted-half.bson"), &nbytes);
    struct kt_ops ops = {0};
    struct kt_span names[5];
    struct kt_pointers pointers = {names};
    cr_assert_eq(kt_walk_schema(schema, half, 0, kt_load_le32(half), &ops, &pointers, NULL), KT_OK);
    size_t values = 0, payloads = 0;
    for (size_t i = 0; i < ops.count; i++) {
        char path[256];
        struct kt_payload payload;
        if (ops.v[i].action == KT_FRAME)
            continue;
        kt_op_path(half, &ops, 0, i, path, sizeof path);
        cr_expect_str_eq(path, kt_schema_rule(schema, ops.v[i].rule)->path);
        struct kt_span value = kt_span_of(half + ops.v[i].value, ops.v[i].value_nbytes);
        payloads += kt_payload_parse(ops.v[i].type, value, &payload, NULL) &&
                    payload.algorithm == kt_schema_rule(schema, ops.v[i].rule)->algorithm;
        values++;
    }
    cr_expect_gt(values, 100);
    cr_expect_eq(payloads, values);
    for (size_t i = 0; i < 5; i++) { /* the corpus half names two of the five */
        const char *pointer = kt_schema_pointer(schema, i);
        if (strcmp(pointer, "/altname_aws") == 0 || strcmp(pointer, "/altname_local") == 0)
            cr_expect(kt_span_equal(names[i], kt_span_str(pointer + strlen("/altname_"))), "%s", pointer);
        else
            cr_expect_null(names[i].data, "%s", pointer);
    }
    kt_ops_free(&ops);
    free(half);
    kt_schema_map_free(compiled);
    bson_destroy(&map);
    bson_destroy(doc);
}

Test(schema, options_come_from_the_nearest_metadata_one_by_one)
{
    struct kt_schema_map *map = kt_compile_json(
        "{'bsonType': 'object', 'encryptMetadata': {'keyId': [" UUID_1 "], 'algorithm': " RANDOM
        "}, 'properties': {"
        "'a': {'encrypt': {}},"
        "'b': {'encrypt': {'bsonType': 'string', 'algorithm': " DETERMINISTIC "}},"
        "'o': {'bsonType': 'object', 'encryptMetadata': {'keyId': [" UUID_2 "]}, 'properties': {"
        "  'c': {'encrypt': {}},"
        "  'p': {'bsonType': ['object'], 'encryptMetadata': {'algorithm': " DETERMINISTIC "}, 'properties': {"
        "    'd': {'encrypt': {'bsonType': ['int']}}, 'e': {'encrypt': {'keyId': '/k', 'algorithm': " RANDOM
        "}}}}}},"
        "'f': {'encrypt': {'keyId': '/k'}},"
        "'z': {'encrypt': {'bsonType': ['int', 'long', 'object']}}}}");
    const struct kt_schema *schema = kt_schema_map_at(map, 0);
    cr_assert_eq(kt_schema_rules(schema), 7);
    static const struct {
        const char *path;
        uint8_t algorithm, key;
    } expected[] = {
        {"a", KT_RANDOM, 1},     {"b", KT_DETERMINISTIC, 1},
        {"o.c", KT_RANDOM, 2},   {"o.p.d", KT_DETERMINISTIC, 2},
        {"o.p.e", KT_RANDOM, 0}, {"f", KT_RANDOM, 0},
        {"z", KT_RANDOM, 1},
    };
    for (size_t i = 0; i < 7; i++) {
        const struct kt_rule *rule = kt_schema_rule(schema, i);
        cr_expect_str_eq(rule->path, expected[i].path);
        cr_expect_eq(rule->algorithm, expected[i].algorithm, "%s", rule->path);
        cr_expect_eq(rule->key_id[0], expected[i].key, "%s", rule->path);
        cr_expect_eq(rule->pointer, expected[i].key ? KT_NO_POINTER : 0, "%s", rule->path);
    }
    cr_expect_eq(kt_schema_rule(schema, 0)->types, 0);
    cr_expect_eq(kt_schema_rule(schema, 6)->types, kt_bson_type_bit(KT_BSON_INT32) |
                                                       kt_bson_type_bit(KT_BSON_INT64) |
                                                       kt_bson_type_bit(KT_BSON_DOCUMENT));
    cr_assert_eq(kt_schema_pointers(schema), 1);
    cr_expect_str_eq(kt_schema_pointer(schema, 0), "/k");
    cr_expect_str_eq(kt_schema_ns(schema), "db.c");
    kt_schema_map_free(map);
}

static size_t rules_of(const char *schema)
{
    struct kt_schema_map *map = kt_compile_json(schema);
    size_t n = kt_schema_rules(kt_schema_map_at(map, 0));
    kt_schema_map_free(map);
    return n;
}

#define FULL "{'encrypt': {'keyId': [" UUID_1 "], 'algorithm': " RANDOM "}}"

Test(schema, what_else_a_schema_may_say)
{
    cr_expect_eq(rules_of("{}"), 0);
    cr_expect_eq(rules_of("{'bsonType': 'object'}"), 0);
    cr_expect_eq(rules_of("{'type': 'object', 'properties': {'a': " FULL "}}"), 1);
    cr_expect_eq(rules_of("{'properties': {'a': {'bsonType': 'string'}}}"), 0);
    cr_expect_eq(
        rules_of("{'bsonType': 'object', 'title': 't', 'required': ['encrypt'], 'description': 'encrypt',"
                 " 'enum': [{'encrypt': {}}], 'properties': {'a': {'minimum': 1}, 'b': " FULL "}}"),
        1);
    cr_expect_eq(rules_of("{'bsonType': 'object', 'properties': {'encrypt': {'bsonType': 'string'}, "
                          "'encryptMetadata': " FULL "}}"),
                 1);
    cr_expect_eq(
        rules_of("{'bsonType': 'object', 'properties': {'l': {'bsonType': 'array', 'items': {'properties': "
                 "{'encrypt': {'bsonType': 'int'}}}}}, 'anyOf': [{'required': ['a']}], 'dependencies': "
                 "{'a': ['encrypt']}, 'additionalProperties': false}"),
        0);
    cr_expect_eq(
        rules_of("{'bsonType': 'object', 'properties': {'_id': {'bsonType': 'object', 'properties': {'x': "
                 "{}}}}, 'patternProperties': {'^x': " FULL "}}"),
        1);
    cr_expect_eq(rules_of("{'bsonType': 'object', 'properties': {'_id': {}, 'e': " FULL
                          "}, 'additionalProperties': " FULL "}"),
                 2);
}

Test(schema, paths_of_patterns)
{
    struct kt_schema_map *map = kt_compile_json(
        "{'bsonType': 'object', 'properties': {'o': {'bsonType': 'object', 'patternProperties': "
        "{'^a.b$': " FULL "}, 'additionalProperties': {'bsonType': 'object', 'properties': {'x': " FULL
        "}}}}}");
    cr_expect_str_eq(kt_schema_rule(kt_schema_map_at(map, 0), 0)->path, "o./^a.b$/");
    cr_expect_str_eq(kt_schema_rule(kt_schema_map_at(map, 0), 1)->path, "o.*.x");
    kt_schema_map_free(map);
}

Test(schema, a_map_of_namespaces)
{
    bson_t *doc = kt_json("{'shop.customers': {}, 'shop.system.views.x': {'bsonType': 'object'}}");
    struct kt_schema_map *map;
    cr_assert_eq(kt_schema_map_new(&map, kt_bson_span(doc), "test", NULL), KT_OK);
    cr_expect_eq(kt_schema_map_count(map), 2);
    cr_expect_eq(kt_schema_map_find(map, "shop.customers"), kt_schema_map_at(map, 0));
    cr_expect_null(kt_schema_map_find(map, "shop.customer"));
    cr_expect_str_eq(kt_schema_ns(kt_schema_map_at(map, 1)), "shop.system.views.x");
    kt_schema_map_free(map);
    bson_destroy(doc);
    doc = kt_json("{}");
    cr_assert_eq(kt_schema_map_new(&map, kt_bson_span(doc), "test", NULL), KT_OK);
    cr_expect_eq(kt_schema_map_count(map), 0);
    kt_schema_map_free(map);
    bson_destroy(doc);
    kt_schema_map_free(NULL);
}
