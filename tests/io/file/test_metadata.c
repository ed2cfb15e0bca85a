/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/names.h"
#include "tests/support/shared.h"

static enum kt_status parse(struct kt_metadata *m, const char *text)
{
    struct kt_error err;
    return kt_metadata_parse(m, kt_span_str(text), "test", &err);
}

static void expect(const char *text, const char *collection, bool view)
{
    struct kt_metadata m;
    cr_assert_eq(parse(&m, text), KT_OK, "%s", text);
    if (collection)
        cr_assert_str_eq(m.collection, collection);
    else
        cr_assert_null(m.collection);
    cr_assert_eq(m.is_view, view, "%s", text);
    kt_metadata_free(&m);
}

Test(metadata, names_and_views)
{
    expect("{}", NULL, false);
    expect(" {\n} \t", NULL, false);
    expect("{\"collectionName\":\"foo\"}", "foo", false);
    expect("{\"options\":{},\"indexes\":[{\"v\":{\"$numberInt\":\"2\"}}],\"collectionName\" : \"a b\"}",
           "a b", false);
    expect("{\"options\":{\"viewOn\":\"x\",\"pipeline\":[]},\"collectionName\":\"v\"}", "v", true);
    expect("{\"viewOn\":\"x\"}", NULL, false);
    expect("{\"options\":{\"a\":{\"viewOn\":\"x\"}}}", NULL, false);
    expect("{\"other\":{\"viewOn\":1,\"collectionName\":\"no\"}}", NULL, false);
    expect("{\"collectionName\":null}", NULL, false);
    expect("{\"collectionName\":\"one\",\"collectionName\":\"two\"}", "two", false);
    expect("{\"a\":[1,-2.5e3,true,false,null,[],{}]}", NULL, false);
}

Test(metadata, escapes)
{
    expect("{\"collectionName\":\"a\\\"\\\\\\/\\n\\t\"}", "a\"\\/\n\t", false);
    expect("{\"collectionName\":\"caf\\u00e9s\"}", "caf\xc3\xa9s", false);
    expect("{\"collectionName\":\"\\ud83d\\ude00\"}", "\xf0\x9f\x98\x80", false);
    expect("{\"collectionName\":\"\\u20AC\"}", "\xe2\x82\xac", false);
    expect("{\"collection\\u004eame\":\"x\"}", "x", false);
}

Test(metadata, refused)
{
    static const char *const bad[] = {
        "",
        " ",
        "[]",
        "null",
        "\"collectionName\"",
        "{",
        "{}}",
        "{} x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":tru}",
        "{\"a\":NumberLong(5)}",
        "{\"a\":\"x}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\n\"}",
        "{\"collectionName\":\"a\\u0000b\"}",
        "{\"key\":{\"{\"a\":\"b\"}\":1}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kt_metadata m;
        cr_assert_eq(parse(&m, bad[i]), KT_E_FORMAT, "%s", bad[i]);
        cr_assert_null(m.collection);
    }
}

/* Every prefix of a whole text is refused, and read within its bounds (ASAN looks at the heap copy). */
Test(metadata, every_prefix_is_refused)
{
    static const char text[] = "{\"options\":{\"viewOn\":\"a\\u00e9\\ud83d\\ude00\"},\"n\":[1,{\"x\":true}],"
                               "\"collectionName\":\"caf\\u00e9\"}";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = malloc(n ? n : 1);
        cr_assert(copy);
        memcpy(copy, text, n);
        struct kt_metadata m;
        cr_assert_eq(kt_metadata_parse(&m, kt_span_of(copy, n), "test", NULL), KT_E_FORMAT, "%zu bytes", n);
        free(copy);
    }
    expect(text, "caf\xc3\xa9", true);
}

Test(metadata, deep_nesting)
{
    enum { DEEP = 1 << 20 };
    char *text = malloc(DEEP + 8);
    cr_assert(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEEP);
    struct kt_metadata m;
    struct kt_error err;
    cr_assert_eq(kt_metadata_parse(&m, kt_span_of(text, DEEP), "test", &err), KT_E_FORMAT);
    free(text);
}

Test(metadata, real_ones)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    static const char *const files[] = {
        "sample-dump/sample_analytics/customers.metadata.json",
        "vectors/bson-dumps/mongorestore/specialcharacter/db1/caf%C3%A9s.metadata.json",
        "vectors/bson-dumps/mongorestore/usersdump/admin/system.users.metadata.json",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t n;
        uint8_t *text = kt_read_file(kt_shared_path(files[i]), &n);
        cr_assert(text, "%s", files[i]);
        struct kt_metadata m;
        struct kt_error err;
        cr_assert_eq(kt_metadata_parse(&m, kt_span_of(text, n), files[i], &err), KT_OK, "%s", err.message);
        kt_metadata_free(&m);
        free(text);
    }
}
