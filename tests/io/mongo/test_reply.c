/* SPDX-License-Identifier: Apache-2.0 */
/* Broken ones come from a server between: tests/live/test_hostile.py. */
#include "io/mongo/reply.h"

#include <criterion/criterion.h>

static bson_t *from_json(const char *json)
{
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
    cr_assert_not_null(doc, "%s", error.message);
    return doc;
}

static bool opens(const char *json, struct kt_reply_batch *batch, bson_t **reply)
{
    *reply = from_json(json);
    return kt_reply_batch_open(batch, *reply);
}

Test(reply, documents_come_one_by_one)
{
    struct kt_reply_batch batch;
    bson_t *reply, doc;
    cr_assert(
        opens("{\"cursor\": {\"nextBatch\": [{\"_id\": 1}, {}], \"id\": {\"$numberLong\": \"7\"}, \"ns\": "
              "\"a.b\"}, \"ok\": 1}",
              &batch, &reply));
    cr_assert_eq(batch.cursor, 7);
    cr_assert_str_eq(batch.ns, "a.b");
    cr_assert_eq(batch.count, 2);
    cr_assert(kt_reply_batch_next(&batch, &doc) && bson_has_field(&doc, "_id"));
    cr_assert(kt_reply_batch_next(&batch, &doc) && bson_empty(&doc));
    cr_assert_not(kt_reply_batch_next(&batch, &doc));
    cr_assert_eq(batch.nbytes, 14 + 5);
    bson_destroy(reply);
}

Test(reply, what_has_no_documents_is_refused)
{
    static const char *const none[] = {
        "{}",
        "{\"cursor\": 1}",
        "{\"cursor\": {\"id\": 0}}",
        "{\"cursor\": {\"firstBatch\": []}}",
        "{\"cursor\": {\"firstBatch\": {}, \"id\": 0}}",
        "{\"cursor\": {\"firstBatch\": [], \"id\": \"0\"}}",
        "{\"cursor\": {\"firstBatch\": [{}, []], \"id\": 0}}",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct kt_reply_batch batch;
        bson_t *reply;
        cr_assert_not(opens(none[i], &batch, &reply), "%s", none[i]);
        bson_destroy(reply);
    }
}

/* Of the cursor, the list and its last document, every length but the right one. */
Test(reply, no_wrong_length_goes_unseen)
{
    bson_t *reply =
        from_json("{\"cursor\": {\"firstBatch\": [{\"a\": 1}, {\"a\": 2}], \"id\": 0}, \"ok\": 1}");
    static const uint32_t places[] = {12, 28, 50};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint8_t *at = (uint8_t *)bson_get_data(reply) + places[i], was = *at;
        for (unsigned wrong = 0; wrong < 256; wrong++) {
            struct kt_reply_batch batch;
            *at = (uint8_t)wrong;
            cr_assert_eq(kt_reply_batch_open(&batch, reply), wrong == was, "%u at byte %u", wrong, places[i]);
        }
        *at = was;
    }
    bson_destroy(reply);
}

Test(reply, figures_are_none_or_possible)
{
    bson_t *reply = from_json("{\"a\": {\"n\": 5, \"less\": -5, \"text\": \"5\", \"more\": 1e300}, \"nan\": "
                              "{\"$numberDouble\": \"NaN\"}, \"ok\": 0}");
    cr_assert_eq(kt_reply_figure(reply, "a.n"), 5);
    cr_assert_eq(kt_reply_figure(reply, "a.less"), 0);
    cr_assert_eq(kt_reply_figure(reply, "a.none"), 0);
    cr_assert_eq(kt_reply_figure(reply, "nan"), 0);
    cr_assert_eq(kt_reply_figure(reply, "a.more"), 1000000000000000);
    cr_assert_not(kt_reply_is_ok(reply));
    bson_destroy(reply);
}
