/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "csfle/walk.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

#define R "'AEAD_AES_256_CBC_HMAC_SHA_512-Random'"
#define RULE "{'encrypt': {}}"
#define UUID "{'$binary': {'base64': 'AAAAAAAAAAAAAAAAAAAAAA==', 'subType': '04'}}"
#define META "'bsonType': 'object', 'encryptMetadata': {'keyId': [" UUID "], 'algorithm': " R "}"

/* One walk, and what it found as text: "path:action:type:rule ". */
struct seen {
    char text[4096];
    struct kt_span pointers[8];
    enum kt_status status;
    struct kt_walk_fault fault;
};

static struct seen walk_bytes(const char *schema_json, const uint8_t *bytes, size_t nbytes)
{
    struct seen seen = {0};
    struct kt_schema_map *map = kt_compile_json(schema_json);
    const struct kt_schema *schema = kt_schema_map_at(map, 0);
    uint8_t *doc = kt_exact(bytes, nbytes);
    struct kt_ops ops = {0};
    struct kt_pointers pointers = {seen.pointers};
    cr_assert_leq(kt_schema_pointers(schema), 8);
    seen.status = kt_walk_schema(schema, doc, 0, (uint32_t)nbytes, &ops, &pointers, &seen.fault);
    size_t used = 0;
    for (size_t i = 0; i < ops.count; i++) {
        const struct kt_op *op = &ops.v[i];
        char path[256];
        kt_op_path(doc, &ops, 0, i, path, sizeof path);
        const char *what = op->action == KT_FRAME               ? "frame"
                           : op->algorithm == KT_ARRAY_IN_PATH  ? "array"
                           : op->algorithm == KT_PATH_UNDECIDED ? "undecided"
                                                                : "keep";
        used += (size_t)snprintf(seen.text + used, sizeof seen.text - used, "%s:%s:%s:%d ", path, what,
                                 kt_bson_type_name(op->type), op->rule == KT_NO_RULE ? -1 : op->rule);
    }
    for (size_t i = 0; i < kt_schema_pointers(schema); i++) /* views die with the copy */
        if (seen.pointers[i].data)
            seen.pointers[i].data = bytes + (seen.pointers[i].data - doc);
    kt_ops_free(&ops);
    free(doc);
    kt_schema_map_free(map);
    return seen;
}

static void expect_ops(const char *schema, const char *doc_json, const char *expected)
{
    bson_t *doc = kt_json(doc_json);
    struct seen seen = walk_bytes(schema, bson_get_data(doc), doc->len);
    cr_expect_eq(seen.status, KT_OK);
    cr_expect_str_eq(seen.text, expected, "%s: %s instead of %s", doc_json, seen.text, expected);
    bson_destroy(doc);
}

Test(walk, emits_fields_of_the_schema_in_document_order)
{
    const char *schema =
        "{" META ", 'properties': {'a': " RULE ", 'bb': {'bsonType': 'object', 'properties': "
        "{'c': " RULE ", 'd': " RULE "}}, 'a longer name than eight': " RULE "}}";
    expect_ops(schema, "{}", "");
    expect_ops(schema, "{'x': 1, 'y': {'a': 1}, 'aa': 1}", "");
    expect_ops(schema, "{'a': 1}", "a:keep:int:0 ");
    expect_ops(schema, "{'x': 1, 'bb': {'d': 'x', 'y': 1, 'c': null}, 'a': {'a': 1}}",
               "bb:frame:object:-1 bb.d:keep:string:2 bb.c:keep:null:1 a:keep:object:0 ");
    expect_ops(schema, "{'bb': {'x': {}}, 'a longer name than eight': true, 'a longer name than nine': 1}",
               "a longer name than eight:keep:bool:3 ");
    expect_ops(schema, "{'bb': 5, 'a': [1, {'a': 2}]}", "a:keep:array:0 ");
    expect_ops(schema, "{'bb': {'bb': {'c': 1}}}", "");
}

Test(walk, an_array_on_the_way_to_a_rule_is_told)
{
    const char *schema =
        "{" META ", 'properties': {'z': " RULE ", 'a': {'bsonType': 'object', 'properties': {'b': "
        "{'bsonType': 'object', 'properties': {'c': " RULE "}}}}}}";
    expect_ops(schema, "{'a': [{'b': {'c': 1}}]}", "a:array:array:1 ");
    expect_ops(schema, "{'a': {'b': []}}", "a:frame:object:-1 a.b:array:array:1 ");
    expect_ops(schema, "{'a': {'x': []}}", "");
}

Test(walk, every_field_of_a_name_that_stands_twice_is_told)
{
    bson_t doc = BSON_INITIALIZER;
    BSON_APPEND_INT32(&doc, "a", 1);
    BSON_APPEND_INT32(&doc, "a", 2);
    struct seen seen = walk_bytes("{" META ", 'properties': {'a': " RULE "}}", bson_get_data(&doc), doc.len);
    cr_expect_str_eq(seen.text, "a:keep:int:0 a:keep:int:0 ");
    bson_destroy(&doc);
}

static void expect_pointer(const char *pointer, const char *doc_json, const char *expected)
{
    char schema[512];
    snprintf(schema, sizeof schema,
             "{'bsonType': 'object', 'properties': {'e': {'encrypt': {'keyId': '%s', 'algorithm': " R "}}}}",
             pointer);
    bson_t *doc = kt_json(doc_json);
    struct seen seen = walk_bytes(schema, bson_get_data(doc), doc->len);
    cr_expect_eq(seen.status, KT_OK);
    struct kt_span got = seen.pointers[0];
    if (expected)
        cr_expect(got.data && kt_span_equal(got, kt_span_str(expected)), "%s in %s", pointer, doc_json);
    else
        cr_expect_null(got.data, "%s in %s", pointer, doc_json);
    bson_destroy(doc);
}

Test(walk, fills_pointers)
{
    expect_pointer("/k", "{'k': 'name'}", "name");
    expect_pointer("/k", "{'e': 1, 'k': ''}", "");
    expect_pointer("/k", "{'e': 1}", NULL);
    expect_pointer("/k", "{'k': 5}", NULL);
    expect_pointer("/k", "{'k': ['name']}", NULL);
    expect_pointer("/k", "{'o': {'k': 'name'}}", NULL);
    expect_pointer("/o/k", "{'o': {'x': 1, 'k': 'name'}, 'k': 'other'}", "name");
    expect_pointer("/o/k", "{'o': 'k'}", NULL);
    expect_pointer("/o/1", "{'o': ['zero', 'one']}", "one");
    expect_pointer("/a~1b/c~0d", "{'a/b': {'c~d': 'name'}}", "name");
    expect_pointer("/a key of some length", "{'a key of some length': 'name'}", "name");
}

Test(walk, the_first_of_two_pointer_targets_counts)
{
    bson_t doc = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&doc, "k", "one");
    BSON_APPEND_UTF8(&doc, "k", "two");
    struct seen seen = walk_bytes(
        "{'bsonType': 'object', 'properties': {'e': {'encrypt': {'keyId': '/k', 'algorithm': " R "}}}}",
        bson_get_data(&doc), doc.len);
    cr_expect(kt_span_equal(seen.pointers[0], kt_span_str("one")));
    bson_destroy(&doc);
}

Test(walk, patterns_and_additional_properties)
{
    const char *patterns =
        "{" META ", 'properties': {'plain': {'bsonType': 'string'}}, 'patternProperties': {'^s_': " RULE
        ", '_o$': {'bsonType': 'object', 'properties': {'x': " RULE "}}}}";
    expect_ops(patterns, "{'_id': 1, 's_1': 1, 'is_1': 1, 'a_o': {'x': 1}, 'plain': 'p'}",
               "s_1:keep:int:0 a_o:frame:object:-1 a_o.x:keep:int:1 ");
    expect_ops(patterns, "{'s_and_o': 1}", "s_and_o:undecided:int:0 ");
    expect_ops(patterns, "{'gr\xc3\xbc\xc3\x9f_o': []}", "gr\xc3\xbc\xc3\x9f_o:array:array:1 ");
    const char *others =
        "{" META ", 'properties': {'_id': {}, 'plain': {}, 'named': {'encrypt': {'bsonType': 'int'}}}, "
        "'patternProperties': {'^p': {}}, 'additionalProperties': " RULE "}";
    expect_ops(others, "{'_id': 1, 'plain': 1, 'p': 1, 'named': 1, 'other': 1}",
               "named:keep:int:0 other:keep:int:1 ");
}

Test(walk, same_rules_of_two_patterns_do_not_contradict)
{
    expect_ops("{" META ", 'patternProperties': {'^a': " RULE ", 'b$': " RULE "}}", "{'ab': 1}",
               "ab:keep:int:1 ");
    expect_ops("{" META ", 'patternProperties': {'^a': " RULE ", 'b$': {'encrypt': {'bsonType': 'int'}}}}",
               "{'ab': 1}", "ab:undecided:int:0 ");
}

Test(walk, a_pattern_that_takes_too_long_is_told)
{
    char name[64], doc[128];
    memset(name, 'a', sizeof name);
    snprintf(name + 40, 2, "!");
    snprintf(doc, sizeof doc, "{'%s': 1}", name);
    char expected[128];
    snprintf(expected, sizeof expected, "%s:undecided:int:0 ", name);
    expect_ops("{" META ", 'patternProperties': {'^(a+)+(a|b)*$': " RULE "}}", doc, expected);
}

Test(walk, a_thousand_paths)
{
    char *schema = malloc(1 << 20);
    size_t n = (size_t)snprintf(schema, 1 << 20, "{" META ", 'properties': {");
    bson_t doc = BSON_INITIALIZER;
    for (int i = 0; i < 1500; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%d", i % 2 ? "f" : "a common prefix of all ", i);
        n += (size_t)snprintf(schema + n, (1 << 20) - n, "%s'%s': " RULE, i ? ", " : "", name);
        BSON_APPEND_INT32(&doc, name, i);
        name[0] = 'X';
        BSON_APPEND_INT32(&doc, name, i);
    }
    snprintf(schema + n, (1 << 20) - n, "}}");
    struct kt_schema_map *map = kt_compile_json(schema);
    struct kt_ops ops = {0};
    cr_assert_eq(kt_walk_schema(kt_schema_map_at(map, 0), bson_get_data(&doc), 0, doc.len, &ops, NULL, NULL),
                 KT_OK);
    cr_assert_eq(ops.count, 1500);
    for (size_t i = 0; i < ops.count; i++) {
        cr_assert_eq(ops.v[i].rule, i);
        cr_assert_eq(kt_load_le32(bson_get_data(&doc) + ops.v[i].value), i);
    }
    kt_ops_free(&ops);
    kt_schema_map_free(map);
    bson_destroy(&doc);
    free(schema);
}

/* depth documents inside the outermost one. */
static void nest(bson_t *doc, int depth)
{
    bson_t child;
    if (depth == 0)
        return;
    if (depth % 2)
        BSON_APPEND_DOCUMENT_BEGIN(doc, "d", &child);
    else
        BSON_APPEND_ARRAY_BEGIN(doc, "d", &child);
    nest(&child, depth - 1);
    bson_append_document_end(doc, &child);
}

Test(walk, depth_has_an_end)
{
    for (int depth = KT_BSON_DEPTH_MAX - 1; depth <= KT_BSON_DEPTH_MAX + 10; depth++) {
        bson_t doc = BSON_INITIALIZER;
        nest(&doc, depth);
        struct kt_ops ops = {0};
        struct kt_walk_fault fault = {0};
        enum kt_status status = kt_walk_payloads(bson_get_data(&doc), 0, doc.len, &ops, &fault);
        cr_expect_eq(status, depth <= KT_BSON_DEPTH_MAX ? KT_OK : KT_E_FORMAT);
        if (depth > KT_BSON_DEPTH_MAX)
            cr_expect_str_eq(fault.what, "documents are nested too deeply");
        kt_ops_free(&ops);
        bson_destroy(&doc);
    }
}

Test(walk, a_fault_names_its_place_and_takes_the_ops_back)
{
    bson_t *good = kt_json("{'a': 1, 'b': {'a': 2}}");
    uint8_t bytes[64] = {0};
    enum { AT = 3 };
    memcpy(bytes + AT, bson_get_data(good), good->len);
    struct kt_schema_map *map = kt_compile_json("{" META ", 'properties': {'a': " RULE "}}");
    const struct kt_schema *schema = kt_schema_map_at(map, 0);
    struct kt_ops ops = {0};
    struct kt_walk_fault fault = {0};
    cr_assert_eq(kt_walk_schema(schema, bytes, AT, good->len, &ops, NULL, &fault), KT_OK);
    cr_assert_eq(ops.count, 1);
    cr_assert_eq(ops.v[0].element, AT + 4);
    cr_assert_eq(ops.v[0].value, AT + 4 + 3);
    uint32_t inner = AT + 4 + 7 + 3 + 4;
    cr_assert_eq(bytes[inner], KT_BSON_INT32);
    bytes[inner] = 0x14;
    cr_assert_eq(kt_walk_schema(schema, bytes, AT, good->len, &ops, NULL, &fault), KT_E_FORMAT);
    cr_assert_eq(ops.count, 1);
    cr_assert_eq(fault.at, inner);
    cr_assert_str_eq(fault.what, "unknown type byte");
    kt_ops_free(&ops);
    kt_schema_map_free(map);
    bson_destroy(good);
}

Test(walk, finds_payloads_everywhere_but_in_scopes)
{
    uint8_t blob[KT_PAYLOAD_MIN_NBYTES] = {KT_RANDOM};
    bson_t doc = BSON_INITIALIZER, child, scope = BSON_INITIALIZER;
    BSON_APPEND_BINARY(&scope, "p", BSON_SUBTYPE_ENCRYPTED, blob, sizeof blob);
    BSON_APPEND_CODE_WITH_SCOPE(&doc, "code", "f()", &scope);
    BSON_APPEND_ARRAY_BEGIN(&doc, "list", &child);
    BSON_APPEND_INT32(&child, "0", 0);
    BSON_APPEND_BINARY(&child, "1", BSON_SUBTYPE_ENCRYPTED, blob, sizeof blob);
    bson_append_array_end(&doc, &child);
    BSON_APPEND_BINARY(&doc, "plain", BSON_SUBTYPE_BINARY, blob, sizeof blob);
    BSON_APPEND_BINARY(&doc, "short", BSON_SUBTYPE_ENCRYPTED, blob, sizeof blob - 1);
    blob[0] = 14; /* Queryable Encryption */
    BSON_APPEND_BINARY(&doc, "queryable", BSON_SUBTYPE_ENCRYPTED, blob, sizeof blob);
    struct kt_ops ops = {0};
    cr_assert_eq(kt_walk_payloads(bson_get_data(&doc), 0, doc.len, &ops, NULL), KT_OK);
    cr_assert_eq(ops.count, 3);
    char path[32];
    cr_expect_eq(ops.v[0].action, KT_FRAME);
    cr_expect_eq(ops.v[0].type, KT_BSON_ARRAY);
    kt_op_path(bson_get_data(&doc), &ops, 0, 1, path, sizeof path);
    cr_expect_str_eq(path, "list.1");
    cr_expect_eq(ops.v[1].algorithm, 0);
    kt_op_path(bson_get_data(&doc), &ops, 0, 1, path, 4);
    cr_expect_str_eq(path, "lis");
    kt_op_path(bson_get_data(&doc), &ops, 0, 2, path, sizeof path);
    cr_expect_str_eq(path, "short");
    cr_expect_eq(ops.v[2].algorithm, KT_BROKEN_PAYLOAD);
    kt_ops_free(&ops);
    bson_destroy(&scope);
    bson_destroy(&doc);
}

Test(walk, finds_key_ids_everywhere)
{
    uint8_t value[40] = {14};
    bson_t doc = BSON_INITIALIZER, inner = BSON_INITIALIZER;
    BSON_APPEND_BINARY(&inner, "range", BSON_SUBTYPE_ENCRYPTED, value, sizeof value);
    BSON_APPEND_BINARY(&inner, "uuid", BSON_SUBTYPE_UUID, value, 16);
    BSON_APPEND_BINARY(&inner, "short", BSON_SUBTYPE_ENCRYPTED, value, 16);
    BSON_APPEND_DOCUMENT(&doc, "a", &inner);
    BSON_APPEND_ARRAY(&doc, "b", &inner);
    BSON_APPEND_CODE_WITH_SCOPE(&doc, "c", "f()", &inner);
    BSON_APPEND_BINARY(&doc, "d", BSON_SUBTYPE_ENCRYPTED, value, 17);
    struct kt_ops ops = {0};
    cr_assert_eq(kt_walk_key_ids(bson_get_data(&doc), 0, doc.len, &ops, NULL), KT_OK);
    size_t kept = 0;
    for (size_t i = 0; i < ops.count; i++)
        kept += ops.v[i].action == KT_KEEP;
    cr_expect_eq(kept, 4);
    kt_ops_free(&ops);
    bson_destroy(&inner);
    bson_destroy(&doc);
}

Test(walk, finds_the_id)
{
    struct kt_span id;
    bson_t *doc = kt_json("{'a': {'_id': 1}, '_id': 'x', '_id2': 3}");
    cr_expect_eq(kt_doc_id(bson_get_data(doc), 0, &id), KT_BSON_STRING);
    cr_expect_eq(id.nbytes, 6);
    bson_destroy(doc);
    doc = kt_json("{'a': {'_id': 1}}");
    cr_expect_eq(kt_doc_id(bson_get_data(doc), 0, &id), 0);
    bson_destroy(doc);
}
