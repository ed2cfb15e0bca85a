/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that could not be done: their lines wait here until the part that met them has written its list,
 * and the job stays open as long as there are any. */
#include <stdio.h>
#include <string.h>

#include "io/mongo/state_private.h"

/* Lines of one document, about; only a single line may be longer. */
#define LINES_NBYTES ((size_t)4 << 20)

static enum kt_txn_end put(struct kt_lane *lane, const struct kt_state_job *job, uint32_t range,
                           struct kt_span lines, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, docs, doc;
    bson_oid_t oid;
    bson_oid_init(&oid, NULL);
    BSON_APPEND_UTF8(&command, "insert", KT_STATE_FAILURES);
    BSON_APPEND_ARRAY_BEGIN(&command, "documents", &docs);
    BSON_APPEND_DOCUMENT_BEGIN(&docs, "0", &doc);
    BSON_APPEND_OID(&doc, "_id", &oid);
    BSON_APPEND_UTF8(&doc, "ns", job->ns);
    BSON_APPEND_BINARY(&doc, "id", BSON_SUBTYPE_UUID, job->id, sizeof job->id);
    BSON_APPEND_INT32(&doc, "range", (int32_t)range);
    bson_append_utf8(&doc, "line", -1, (const char *)lines.data, (int)lines.nbytes);
    bson_append_document_end(&docs, &doc);
    bson_append_array_end(&command, &docs);
    enum kt_txn_end end =
        kt_txn_write_all(lane, job->state_db, kt_span_of(bson_get_data(&command), command.len), 1, err);
    bson_destroy(&command);
    return end;
}

/* Whole lines, as many as fit. */
static size_t some_lines(struct kt_span lines)
{
    const uint8_t *end = NULL;
    if (lines.nbytes > LINES_NBYTES)
        end = memrchr(lines.data, '\n', LINES_NBYTES);
    if (lines.nbytes > LINES_NBYTES && !end)
        end = memchr(lines.data, '\n', lines.nbytes);
    return end ? (size_t)(end + 1 - lines.data) : lines.nbytes;
}

enum kt_txn_end kt_state_failures_put(struct kt_lane *lane, const struct kt_state_job *job, uint32_t range,
                                      struct kt_span lines, struct kt_error *err)
{
    enum kt_txn_end end = KT_TXN_OK;
    while (lines.nbytes && end == KT_TXN_OK) {
        size_t nbytes = some_lines(lines);
        end = put(lane, job, range, kt_span_of(lines.data, nbytes), err);
        lines = kt_span_of(lines.data + nbytes, lines.nbytes - nbytes);
    }
    return end;
}

struct handing {
    kt_line_fn each;
    void *context;
};

static enum kt_status take_lines(void *context, const bson_t *doc, struct kt_error *err)
{
    struct handing *handing = context;
    bson_iter_t iter;
    uint32_t nbytes;
    if (!bson_iter_init_find(&iter, doc, "line") || !BSON_ITER_HOLDS_UTF8(&iter))
        return KT_OK;
    const char *text = bson_iter_utf8(&iter, &nbytes);
    return handing->each(handing->context, kt_span_of(text, nbytes), err);
}

static void append_filter(bson_t *filter, const struct kt_state_job *job, uint32_t first, uint32_t step)
{
    BSON_APPEND_UTF8(filter, "ns", job->ns);
    BSON_APPEND_BINARY(filter, "id", BSON_SUBTYPE_UUID, job->id, sizeof job->id);
    kt_state_append_part(filter, "range", first, step);
}

enum kt_status kt_state_failures_each(struct kt_mongo *mongo, const struct kt_state_job *job, uint32_t first,
                                      uint32_t step, kt_line_fn each, void *context, struct kt_error *err)
{
    char ns[80];
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, sort;
    struct handing handing = {each, context};
    append_filter(&filter, job, first, step);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "_id", 1);
    bson_append_document_end(&opts, &sort);
    snprintf(ns, sizeof ns, "%s." KT_STATE_FAILURES, job->state_db);
    enum kt_status status = kt_mongo_each(mongo, ns, &filter, &opts, take_lines, &handing, err);
    bson_destroy(&filter);
    bson_destroy(&opts);
    return status;
}

enum kt_status kt_state_failures_drop(struct kt_mongo *mongo, const struct kt_state_job *job, uint32_t first,
                                      uint32_t step, struct kt_error *err)
{
    bson_t filter = BSON_INITIALIZER;
    append_filter(&filter, job, first, step);
    enum kt_status status = kt_state_delete(mongo, job->state_db, KT_STATE_FAILURES, &filter, err);
    bson_destroy(&filter);
    return status;
}

static enum kt_status count_one(void *context, const bson_t *doc, struct kt_error *err)
{
    (void)doc, (void)err;
    ++*(uint64_t *)context;
    return KT_OK;
}

static enum kt_status count(struct kt_mongo *mongo, const struct kt_state_job *job, const char *coll,
                            const bson_t *filter, uint64_t *found, struct kt_error *err)
{
    char ns[80];
    bson_t opts = BSON_INITIALIZER, projection;
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &projection);
    BSON_APPEND_INT32(&projection, "_id", 1);
    bson_append_document_end(&opts, &projection);
    snprintf(ns, sizeof ns, "%s.%s", job->state_db, coll);
    *found = 0;
    enum kt_status status = kt_mongo_each(mongo, ns, filter, &opts, count_one, found, err);
    bson_destroy(&opts);
    return status;
}

enum kt_status kt_state_left(struct kt_mongo *mongo, const struct kt_state_job *job, uint64_t *left,
                             struct kt_error *err)
{
    uint64_t done = 0, lines = 0;
    bson_t ranges = BSON_INITIALIZER, failures = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&ranges, "_id.ns", job->ns);
    BSON_APPEND_UTF8(&ranges, "_id.is", "range");
    BSON_APPEND_BINARY(&ranges, "_id.id", BSON_SUBTYPE_UUID, job->id, sizeof job->id);
    BSON_APPEND_BOOL(&ranges, "done", true);
    append_filter(&failures, job, 0, 1);
    enum kt_status status = count(mongo, job, KT_STATE_CHECKPOINTS, &ranges, &done, err);
    if (status == KT_OK)
        status = count(mongo, job, KT_STATE_FAILURES, &failures, &lines, err);
    /* A partition that has not begun has no documents yet. */
    *left = (job->ranges_count > done ? job->ranges_count - done : 0) + lines;
    bson_destroy(&ranges);
    bson_destroy(&failures);
    return status;
}
