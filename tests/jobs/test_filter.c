/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "jobs/filter.h"

static struct kt_span span_of(const bson_t *doc)
{
    return kt_span_of(bson_get_data(doc), doc->len);
}

static bson_t *json(const char *text)
{
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
    cr_assert(doc, "%s: %s", text, error.message);
    return doc;
}

static bool matches(const char *filter_json, const char *doc_json)
{
    struct kt_filter *filter;
    struct kt_error err;
    bson_t *rule = json(filter_json), *doc = json(doc_json);
    enum kt_status status = kt_filter_new(&filter, span_of(rule), &err);
    bson_destroy(rule);
    cr_assert(status == KT_OK, "%s: %s", filter_json, err.message);
    bool result = kt_filter_matches(filter, span_of(doc));
    kt_filter_free(filter);
    bson_destroy(doc);
    return result;
}

#define KEY                                                                                                  \
    "{\"keyAltNames\": [\"a\", \"b\"], \"status\": 0, \"masterKey\": {\"provider\": \"aws\", \"key\": "      \
    "\"k1\"}}"

Test(filter, empty_matches_all)
{
    cr_assert(matches("{}", KEY));
}

Test(filter, equality_is_exact_and_enters_paths)
{
    cr_assert(matches("{\"masterKey.provider\": \"aws\"}", KEY));
    cr_assert_not(matches("{\"masterKey.provider\": \"gcp\"}", KEY));
    cr_assert_not(matches("{\"masterKey.region\": \"x\"}", KEY));
    cr_assert(matches("{\"masterKey\": {\"provider\": \"aws\", \"key\": \"k1\"}}", KEY));
    cr_assert_not(matches("{\"masterKey\": {\"provider\": \"aws\"}}", KEY));
    cr_assert_not(matches("{\"status\": {\"$numberLong\": \"0\"}}", KEY), "another type is another value");
}

Test(filter, arrays_match_by_item)
{
    cr_assert(matches("{\"keyAltNames\": \"b\"}", KEY));
    cr_assert_not(matches("{\"keyAltNames\": \"c\"}", KEY));
    cr_assert(matches("{\"keyAltNames\": [\"a\", \"b\"]}", KEY));
}

Test(filter, operators)
{
    cr_assert(matches("{\"status\": {\"$in\": [1, 0]}}", KEY));
    cr_assert_not(matches("{\"status\": {\"$in\": [1, 2]}}", KEY));
    cr_assert_not(matches("{\"status\": {\"$in\": []}}", KEY));
    cr_assert(matches("{\"status\": {\"$ne\": 1}}", KEY));
    cr_assert(matches("{\"nothing\": {\"$ne\": 1}}", KEY));
    cr_assert(matches("{\"nothing\": {\"$exists\": false}}", KEY));
    cr_assert_not(matches("{\"status\": {\"$exists\": false}}", KEY));
    cr_assert(matches("{\"status\": {\"$eq\": 0, \"$ne\": 5}}", KEY));
}

Test(filter, logic)
{
    cr_assert(matches("{\"$or\": [{\"status\": 7}, {\"keyAltNames\": \"a\"}]}", KEY));
    cr_assert_not(matches("{\"$or\": [{\"status\": 7}, {\"keyAltNames\": \"z\"}]}", KEY));
    cr_assert(matches("{\"$and\": [{\"status\": 0}, {\"keyAltNames\": \"a\"}]}", KEY));
    cr_assert_not(matches("{\"$and\": [{\"status\": 0}, {\"keyAltNames\": \"z\"}]}", KEY));
    cr_assert_not(matches("{\"$and\": [{\"status\": 0, \"keyAltNames\": \"z\"}]}", KEY));
}

Test(filter, what_is_not_understood_is_refused_by_name)
{
    static const char *const bad[] = {"{\"a\": {\"$gt\": 1}}", "{\"$nor\": []}",
                                      "{\"$or\": {\"a\": 1}}", "{\"$or\": []}",
                                      "{\"a\": {\"$in\": 1}}", "{\"$and\": [{\"a\": {\"$mod\": [2, 0]}}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct kt_filter *filter;
        struct kt_error err;
        bson_t *rule = json(bad[i]);
        cr_assert_eq(kt_filter_new(&filter, span_of(rule), &err), KT_E_USAGE, "%s", bad[i]);
        cr_assert(strchr(err.message, '$'), "%s", err.message);
        bson_destroy(rule);
    }
}

Test(filter, nesting_is_bounded)
{
    struct kt_filter *filter;
    struct kt_error err;
    bson_t *rule = BCON_NEW("a", BCON_INT32(1));
    for (int i = 0; i < 60; i++) {
        bson_t *outer = BCON_NEW("$and", "[", BCON_DOCUMENT(rule), "]");
        bson_destroy(rule);
        rule = outer;
    }
    cr_assert_eq(kt_filter_new(&filter, span_of(rule), &err), KT_E_USAGE);
    bson_destroy(rule);
}
