/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/live_q.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static bson_t *json(const char *text)
{
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)text, -1, &error);
    cr_assert_not_null(doc, "%s", error.message);
    return doc;
}

/* What is written for a document is byte for byte the q that is expected. */
static void check(const char *shard_key, const char *doc, const char *expected)
{
    struct kt_live_q q;
    bson_t *key = json(shard_key), *from = json(doc), *wanted = json(expected);
    cr_assert(kt_live_q_measure(&q, key, kt_span_of(bson_get_data(from), from->len)));
    uint8_t *out = malloc(3 + q.nbytes);
    cr_assert_eq(kt_live_q_write(&q, out, 3), 3 + q.nbytes);
    cr_assert_eq(q.nbytes, wanted->len, "%s", doc);
    cr_assert_eq(memcmp(out + 3, bson_get_data(wanted), wanted->len), 0, "%s", doc);
    free(out);
    bson_destroy(key);
    bson_destroy(from);
    bson_destroy(wanted);
}

Test(live_q, without_a_shard_key_it_is_the_id)
{
    check("{}", "{\"a\": 1, \"_id\": 7}", "{\"_id\": 7}");
    check("{}", "{\"_id\": {\"x\": [1]}}", "{\"_id\": {\"x\": [1]}}");
    check("{}", "{\"_id\": {\"$ref\": \"a\", \"$id\": 1}}",
          "{\"_id\": {\"$eq\": {\"$ref\": \"a\", \"$id\": 1}}}");
}

Test(live_q, the_shard_keys_fields_stand_behind_it_in_its_order)
{
    check("{\"country\": 1, \"at.zip\": \"hashed\"}",
          "{\"_id\": 7, \"at\": {\"x\": 0, \"zip\": \"1010\"}, \"country\": \"AT\"}",
          "{\"_id\": 7, \"country\": \"AT\", \"at.zip\": \"1010\"}");
    check("{\"a\": 1, \"_id\": 1}", "{\"_id\": 7, \"a\": null}", "{\"_id\": 7, \"a\": null}");
    check("{\"_id\": \"hashed\"}", "{\"_id\": 7}", "{\"_id\": 7}");
    check("{\"_id.x\": 1, \"a\": 1}", "{\"_id\": {\"x\": 1}, \"a\": {\"b\": 1}}",
          "{\"_id\": {\"x\": 1}, \"a\": {\"b\": 1}}");
}

Test(live_q, what_is_missing_or_no_equality_is_left_out)
{
    check("{\"a\": 1, \"b\": 1}", "{\"_id\": 7, \"b\": 2}", "{\"_id\": 7, \"b\": 2}");
    check("{\"a.b\": 1}", "{\"_id\": 7, \"a\": 5}", "{\"_id\": 7}");
    check("{\"a.0\": 1}", "{\"_id\": 7, \"a\": [5]}", "{\"_id\": 7}");
    check("{\"a\": 1}", "{\"_id\": 7, \"a\": [5]}", "{\"_id\": 7}");
    check("{\"a\": 1}",
          "{\"_id\": 7, \"a\": {\"$regularExpression\": {\"pattern\": \"x\", \"options\": \"\"}}}",
          "{\"_id\": 7}");
    check("{\"a\": 1}", "{\"_id\": 7, \"a\": {\"$undefined\": true}}", "{\"_id\": 7}");
    check("{\"a\": 1}", "{\"_id\": 7, \"a\": {\"$ref\": \"x\", \"$id\": 1}}", "{\"_id\": 7}");
}

Test(live_q, documents_that_nothing_can_name)
{
    struct kt_live_q q;
    bson_t *key = json("{}"), *none = json("{\"a\": 1}"),
           *undefined = json("{\"_id\": {\"$undefined\": true}}");
    cr_assert_not(kt_live_q_measure(&q, key, kt_span_of(bson_get_data(none), none->len)));
    cr_assert_not(kt_live_q_measure(&q, key, kt_span_of(bson_get_data(undefined), undefined->len)));
    bson_destroy(key);
    bson_destroy(none);
    bson_destroy(undefined);
}
