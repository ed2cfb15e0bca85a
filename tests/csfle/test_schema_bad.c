/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule that a schema can break, and what the message says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

#define RANDOM "'algorithm': 'AEAD_AES_256_CBC_HMAC_SHA_512-Random'"
#define DETERMINISTIC "'algorithm': 'AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic'"
#define UUID "{'$binary': {'base64': 'AQAAAAAAAAAAAAAAAAAAAA==', 'subType': '04'}}"
#define KEY "'keyId': [" UUID "]"
#define FULL "{'encrypt': {" KEY ", " RANDOM "}}"
#define DET(types) "{'encrypt': {" KEY ", " DETERMINISTIC types "}}"
#define ROOT(rest) "{'bsonType': 'object', " rest "}"
#define FIELD(value) ROOT("'properties': {'a': " value "}")

static void expect_refused(const bson_t *map, const char *expected)
{
    struct kt_schema_map *compiled;
    struct kt_error err = {0};
    uint8_t *exact = kt_exact(bson_get_data(map), map->len);
    enum kt_status status = kt_schema_map_new(&compiled, kt_span_of(exact, map->len), "s.json", &err);
    cr_expect_eq(status, KT_E_SCHEMA, "%s", expected);
    cr_expect_null(compiled);
    cr_expect_not_null(strstr(err.message, expected), "'%s' instead of '%s'", err.message, expected);
    free(exact);
}

/* why: a part of the message, from the JSON pointer on where that is what matters. */
static void refused(const char *schema, const char *why)
{
    bson_t *doc = kt_json(schema), map = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&map, "db.c", doc);
    expect_refused(&map, "s.json: db.c: ");
    expect_refused(&map, why);
    bson_destroy(&map);
    bson_destroy(doc);
}

static void map_refused(const char *json, const char *expected)
{
    bson_t *map = kt_json(json);
    expect_refused(map, expected);
    bson_destroy(map);
}

Test(schema_bad, maps)
{
    map_refused("{'customers': {}}", "s.json: 'customers' is no namespace");
    map_refused("{'.customers': {}}", "no namespace");
    map_refused("{'shop.': {}}", "no namespace");
    map_refused("{'bsonType': 'object', 'properties': {}}", "'bsonType' is no namespace");
    map_refused("{'db.c': 5}", "s.json: db.c: the schema must be an object, here int");
    map_refused("{'db.c': []}", "here array");
    map_refused("{'db.c': {'$jsonSchema': {}}}", "s.json: db.c: a schemaMap takes the schema itself");
    map_refused("{'db.c': {'fields': []}}", "Queryable Encryption");
    bson_t twice = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&twice, "db.c", &(bson_t)BSON_INITIALIZER);
    BSON_APPEND_DOCUMENT(&twice, "db.c", &(bson_t)BSON_INITIALIZER);
    expect_refused(&twice, "db.c stands there twice");
    bson_destroy(&twice);
    struct kt_schema_map *map;
    struct kt_error err;
    cr_expect_eq(kt_schema_map_new(&map, kt_span_of("\5\0\0\0", 4), "s.json", &err), KT_E_SCHEMA);
}

Test(schema_bad, encrypt_stands_alone)
{
    refused(FIELD("{'encrypt': {}, 'bsonType': 'string'}"),
            "/properties/a: 'encrypt' must be the only keyword");
    refused(FIELD("{'type': 'string', 'encrypt': {}}"), "/properties/a: 'encrypt' must be the only keyword");
    refused(FIELD("{'encrypt': {}, 'encryptMetadata': {}}"),
            "/properties/a: 'encrypt' must be the only keyword");
    refused(FIELD("{'encrypt': 5}"), "/properties/a: 'encrypt' must be an object, here int");
    refused(FULL, "a whole document cannot be encrypted");
    bson_t map = BSON_INITIALIZER, schema, properties, field;
    BSON_APPEND_DOCUMENT_BEGIN(&map, "db.c", &schema);
    BSON_APPEND_UTF8(&schema, "bsonType", "object");
    BSON_APPEND_DOCUMENT_BEGIN(&schema, "properties", &properties);
    BSON_APPEND_DOCUMENT_BEGIN(&properties, "a", &field);
    BSON_APPEND_DOCUMENT(&field, "encrypt", &(bson_t)BSON_INITIALIZER);
    BSON_APPEND_DOCUMENT(&field, "encrypt", &(bson_t)BSON_INITIALIZER);
    bson_append_document_end(&properties, &field);
    bson_append_document_end(&schema, &properties);
    bson_append_document_end(&map, &schema);
    expect_refused(&map, "/properties/a: keyword 'encrypt' stands here twice");
    bson_destroy(&map);
}

Test(schema_bad, options)
{
    refused(FIELD("{'encrypt': {}}"), "/properties/a: no algorithm");
    refused(FIELD("{'encrypt': {" RANDOM "}}"), "/properties/a: no keyId");
    refused(FIELD("{'encrypt': {" KEY "}}"), "/properties/a: no algorithm");
    refused(FIELD("{'encrypt': {" KEY ", 'algorithm': 'AES'}}"), "/properties/a: unknown algorithm 'AES'");
    refused(FIELD("{'encrypt': {" KEY ", 'algorithm': 2}}"), "algorithm must be a string, here int");
    refused(FIELD("{'encrypt': {" KEY ", " RANDOM ", 'queries': []}}"),
            "unknown field 'queries' in 'encrypt'");
    refused(FIELD("{'encrypt': {" RANDOM ", 'keyId': []}}"), "keyId must hold exactly one UUID");
    refused(FIELD("{'encrypt': {" RANDOM ", 'keyId': [" UUID ", " UUID "]}}"),
            "keyId must hold exactly one UUID");
    refused(FIELD("{'encrypt': {" RANDOM ", 'keyId': " UUID "}}"), "keyId must be an array with one UUID");
    refused(FIELD("{'encrypt': {" RANDOM ", 'keyId': ['x']}}"), "BinData of subtype 4");
    refused(FIELD("{'encrypt': {" RANDOM ", 'keyId': [{'$binary': {'base64': 'AQAAAAAAAAAAAAAAAAAAAA==', "
                  "'subType': '03'}}]}}"),
            "/properties/a: keyId must hold a UUID");
    refused(FIELD("{'encrypt': {" RANDOM ", 'keyId': [{'$binary': {'base64': 'AQAA', 'subType': '04'}}]}}"),
            "/properties/a: keyId must hold a UUID");
    refused(FIELD("{'encrypt': {" KEY ", " RANDOM ", 'bsonType': 'strng'}}"),
            "'strng' is no BSON type's name");
    refused(FIELD("{'encrypt': {" KEY ", " RANDOM ", 'bsonType': 'number'}}"),
            "'number' is no BSON type's name");
    refused(FIELD("{'encrypt': {" KEY ", " RANDOM ", 'bsonType': 2}}"), "bsonType must be");
    refused(FIELD("{'encrypt': {" KEY ", " RANDOM ", 'bsonType': []}}"), "bsonType is an empty array");
    refused(FIELD("{'encrypt': {" KEY ", " RANDOM ", 'bsonType': ['int', 'int']}}"), "type int stands twice");
    static const char *const never[] = {"minKey", "maxKey", "null", "undefined"};
    for (int i = 0; i < 4; i++) {
        char schema[512], why[128];
        snprintf(schema, sizeof schema,
                 FIELD("{'encrypt': {" KEY ", " RANDOM ", 'bsonType': ['int', '%s']}}"), never[i]);
        snprintf(why, sizeof why, "/properties/a: a value of type %s cannot be encrypted", never[i]);
        refused(schema, why);
    }
}

Test(schema_bad, deterministic)
{
    refused(FIELD(DET(", 'bsonType': ['string', 'int']")),
            "/properties/a: deterministic needs exactly one bsonType, here [\"string\",\"int\"]; name one, "
            "or use "
            "Random");
    refused(FIELD(DET("")), "/properties/a: deterministic needs exactly one bsonType, here none");
    static const char *const random_only[] = {"double", "decimal", "bool",
                                              "object", "array",   "javascriptWithScope"};
    for (int i = 0; i < 6; i++) {
        char schema[512], why[128];
        snprintf(schema, sizeof schema, FIELD(DET(", 'bsonType': '%s'")), random_only[i]);
        snprintf(why, sizeof why, "/properties/a: a value of type %s cannot be encrypted deterministically",
                 random_only[i]);
        refused(schema, why);
    }
    refused(FIELD("{'encrypt': {'keyId': '/k', " DETERMINISTIC ", 'bsonType': 'int'}}"),
            "/properties/a: deterministic needs its key by UUID");
    refused(ROOT("'encryptMetadata': {'keyId': '/k', " DETERMINISTIC
                 "}, 'properties': {'a': {'encrypt': {'bsonType': 'int'}}}"),
            "/properties/a: deterministic needs its key by UUID");
}

Test(schema_bad, metadata)
{
    refused("{'encryptMetadata': {" RANDOM "}}", "'encryptMetadata' needs bsonType: \"object\"");
    refused("{'bsonType': ['object', 'array'], 'encryptMetadata': {" RANDOM "}}",
            "'encryptMetadata' needs bsonType");
    refused(ROOT("'encryptMetadata': {}"), "'encryptMetadata' must not be empty");
    refused(ROOT("'encryptMetadata': 1"), "'encryptMetadata' must be an object, here int");
    refused(ROOT("'encryptMetadata': {" RANDOM ", 'bsonType': 'int'}"),
            "unknown field 'bsonType' in 'encryptMetadata', which takes keyId and algorithm");
    refused(FIELD("{'bsonType': 'string', 'encryptMetadata': {" RANDOM "}}"),
            "/properties/a: 'encryptMetadata' needs bsonType");
}

Test(schema_bad, parents)
{
    refused("{'properties': {'a': " FULL "}}",
            "fields below are encrypted, so this needs bsonType: \"object\"");
    refused("{'bsonType': ['object', 'null'], 'properties': {'a': " FULL "}}", "fields below are encrypted");
    refused("{'bsonType': 'array', 'properties': {'a': " FULL "}}", "fields below are encrypted");
    refused("{'bsonType': 'object', 'type': 'object', 'properties': {'a': " FULL "}}",
            "bsonType and type exclude each other");
    refused(FIELD("{'properties': {'b': " FULL "}}"), "/properties/a: fields below are encrypted");
    refused(FIELD("{'bsonType': ['object', 'array'], 'patternProperties': {'b': " FULL "}}"),
            "/properties/a: fields below are encrypted");
}

Test(schema_bad, places_that_reach_no_single_field)
{
    static const char *const one[] = {"items", "additionalItems", "not"};
    static const char *const many[] = {"items", "allOf", "anyOf", "oneOf"};
    char schema[512], why[128];
    for (int i = 0; i < 3; i++) {
        snprintf(schema, sizeof schema, FIELD("{'%s': " FULL "}"), one[i]);
        snprintf(why, sizeof why, "/properties/a/%s: 'encrypt' cannot stand under '%s'", one[i], one[i]);
        refused(schema, why);
        snprintf(schema, sizeof schema, FIELD("{'%s': {'bsonType': 'object', 'encryptMetadata': {}}}"),
                 one[i]);
        snprintf(why, sizeof why, "/properties/a/%s: 'encryptMetadata' cannot stand under", one[i]);
        refused(schema, why);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(schema, sizeof schema, ROOT("'%s': [{}, {'properties': {'b': {'not': " FULL "}}}]"),
                 many[i]);
        snprintf(why, sizeof why, "/%s/1/properties/b/not: 'encrypt' cannot stand under '%s'", many[i],
                 many[i]);
        refused(schema, why);
    }
    refused(ROOT("'dependencies': {'x': {'properties': {'a': " FULL "}}}"),
            "/dependencies/x/properties/a: 'encrypt' cannot stand under 'dependencies'");
    refused(ROOT("'definitions': {'x': " FULL "}"), "/definitions/x: 'encrypt' cannot stand under");
    refused(ROOT("'anyOf': [{'additionalProperties': " FULL "}, {'patternProperties': {'x': {}}}]"),
            "/anyOf/0/additionalProperties: 'encrypt' cannot stand");
    refused(FIELD("{'items': [{'items': {'anyOf': [" FULL "]}}]}"),
            "/properties/a/items/0/items/anyOf/0: 'encrypt' cannot stand under 'items'");
}

Test(schema_bad, form)
{
    refused(ROOT("'propertys': {}"), "unknown keyword 'propertys'");
    refused(FIELD("{'Encrypt': {}}"), "/properties/a: unknown keyword 'Encrypt'");
    refused(FIELD("{'$ref': '#/definitions/x'}"), "/properties/a: '$ref' is not supported");
    refused(ROOT("'properties': []"), "/properties: must be an object, here array");
    refused(ROOT("'properties': {'a': 'string'}"), "/properties/a: must be an object, here string");
    refused(ROOT("'patternProperties': {'a': 1}"), "/patternProperties/a: must be an object, here int");
    refused(ROOT("'patternProperties': {'(': " FULL "}"),
            "/patternProperties: '(' is no regular expression: ");
    refused(ROOT("'additionalProperties': 1"), "/additionalProperties: must be an object, here int");
    refused(ROOT("'properties': {'a.b': " FULL "}"),
            "/properties/a.b: a field with an encrypted part needs a name");
    refused(ROOT("'properties': {'': " FULL "}"),
            "/properties/: a field with an encrypted part needs a name");
    refused(ROOT("'properties': {'x/y': {'bsonType': 'object', 'properties': {'~': {'encrypt': 1}}}}"),
            "/properties/x~1y/properties/~0: 'encrypt' must be");
    bson_t map = BSON_INITIALIZER, schema, properties;
    BSON_APPEND_DOCUMENT_BEGIN(&map, "db.c", &schema);
    BSON_APPEND_DOCUMENT_BEGIN(&schema, "properties", &properties);
    BSON_APPEND_DOCUMENT(&properties, "name", &(bson_t)BSON_INITIALIZER);
    BSON_APPEND_DOCUMENT(&properties, "name", &(bson_t)BSON_INITIALIZER);
    bson_append_document_end(&schema, &properties);
    bson_append_document_end(&map, &schema);
    expect_refused(&map, "s.json: db.c: 'name' stands twice in properties");
    bson_destroy(&map);
}

Test(schema_bad, the_id)
{
    refused(ROOT("'properties': {'_id': " FULL "}"), "_id cannot be encrypted");
    refused(ROOT("'properties': {'_id': {'bsonType': 'object', 'properties': {'x': " FULL "}}}"),
            "_id cannot be encrypted");
    refused(ROOT("'patternProperties': {'d$': " FULL "}"), "_id cannot be encrypted");
    refused(ROOT("'additionalProperties': " FULL), "_id cannot be encrypted");
}

Test(schema_bad, a_field_and_a_pattern_over_it)
{
    refused(
        ROOT("'properties': {'name': " FULL "}, 'patternProperties': {'^n': " DET(", 'bsonType': 'int'") "}"),
        "a pattern of patternProperties matches 'name' too");
}

#define POINTER(pointer, rest)                                                                               \
    ROOT("'properties': {'a': {'encrypt': {'keyId': " pointer ", " RANDOM "}}" rest "}")

Test(schema_bad, pointers)
{
    refused(POINTER("''", ""), "/properties/a: keyId '' is no JSON pointer");
    refused(POINTER("'name'", ""), "/properties/a: keyId 'name' is no JSON pointer");
    refused(POINTER("'/'", ""), "/properties/a: keyId '/' is no JSON pointer to a field");
    refused(POINTER("'/x//y'", ""), "is no JSON pointer to a field");
    refused(POINTER("'/x/'", ""), "is no JSON pointer to a field");
    refused(POINTER("'/~2'", ""), "is no JSON pointer to a field");
    refused(POINTER("'/~'", ""), "is no JSON pointer to a field");
    refused(POINTER("'/a'", ""),
            "/properties/a: keyId '/a' points at or into a field that is encrypted itself");
    refused(POINTER("'/a/x'", ""), "/properties/a: keyId '/a/x' points at or into a field that is encrypted");
    refused(POINTER("'/o/k'", ", 'o': {'bsonType': 'object', 'properties': {'k': " FULL "}}"),
            "/properties/a: keyId '/o/k' points at or into");
    refused(POINTER("'/o'", ", 'o': {'bsonType': 'object', 'properties': {'k': " FULL "}}"),
            "/properties/a: keyId '/o' points at an object with encrypted fields");
    refused(ROOT("'properties': {'a': {'encrypt': {'keyId': '/ek', " RANDOM
                 "}}}, 'patternProperties': {'^e': " FULL "}"),
            "/properties/a: keyId '/ek' points at or into");
    refused(ROOT("'encryptMetadata': {'keyId': '/b', " RANDOM
                 "}, 'properties': {'a': {'encrypt': {}}, 'b': {'encrypt': {}}}"),
            "keyId '/b' points at or into");
}

Test(schema_bad, depth)
{
    bson_t *schema = kt_json(FIELD("{'encrypt': 1}"));
    for (int i = 0; i < 600; i++) {
        bson_t outer = BSON_INITIALIZER, properties;
        BSON_APPEND_DOCUMENT_BEGIN(&outer, "properties", &properties);
        BSON_APPEND_DOCUMENT(&properties, "x", schema);
        bson_append_document_end(&outer, &properties);
        bson_destroy(schema);
        schema = bson_copy(&outer);
        bson_destroy(&outer);
        bson_t map = BSON_INITIALIZER;
        BSON_APPEND_DOCUMENT(&map, "db.c", schema);
        if (i % 50 == 49)
            expect_refused(&map, i < 450 ? "s.json: db.c: /properties/x/properties/x/" : "s.json: ");
        bson_destroy(&map);
    }
    bson_destroy(schema);
}

/* Damaged schemas are refused or compiled; never read past. */
Test(schema_bad, damaged)
{
    if (!kt_shared_present())
        cr_skip_test("the shared test data is not there");
    uint64_t seed = 0x5eed0005;
    printf("seed %llx\n", (unsigned long long)seed);
    bson_t *doc = kt_shared_json("vectors/csfle-corpus/corpus-schema.json"), map = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&map, "db.c", doc);
    for (int round = 0; round < 500; round++) {
        uint8_t *damaged = kt_exact(bson_get_data(&map), map.len);
        for (unsigned i = 0; i < 1 + kt_random(&seed) % 3; i++)
            damaged[kt_random(&seed) % map.len] = (uint8_t)kt_random(&seed);
        struct kt_schema_map *compiled;
        struct kt_error err;
        enum kt_status status = kt_schema_map_new(&compiled, kt_span_of(damaged, map.len), "s.json", &err);
        cr_expect(status == KT_OK || status == KT_E_SCHEMA);
        kt_schema_map_free(compiled);
        free(damaged);
    }
    bson_destroy(&map);
    bson_destroy(doc);
}
