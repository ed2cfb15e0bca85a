/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges: how far each came. state_failures.c: the documents that failed in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mongo/fault.h"
#include "io/mongo/state_private.h"

/* Documents of one insert command. */
#define INSERT_MAX 1000

void kt_state_range_init(struct kt_state_range *range, uint32_t n)
{
    *range = (struct kt_state_range){.n = n};
    bson_init(&range->counts);
}

void kt_state_range_free(struct kt_state_range *range)
{
    kt_id_free(&range->at);
    bson_destroy(&range->counts);
}

static void append_job(bson_t *out, const char *key, const struct kt_state_job *job)
{
    BSON_APPEND_BINARY(out, key, BSON_SUBTYPE_UUID, job->id, sizeof job->id);
}

static void append_range_id(bson_t *out, const struct kt_state_job *job, uint32_t n)
{
    bson_t id;
    BSON_APPEND_DOCUMENT_BEGIN(out, "_id", &id);
    BSON_APPEND_UTF8(&id, "ns", job->ns);
    BSON_APPEND_UTF8(&id, "is", "range");
    append_job(&id, "id", job);
    BSON_APPEND_INT32(&id, "n", (int32_t)n);
    bson_append_document_end(out, &id);
}

static void append_owner(bson_t *out, const uint8_t *owner)
{
    BSON_APPEND_BINARY(out, "owner", BSON_SUBTYPE_UUID, owner, 16);
}

static void append_range(bson_t *list, const char *key, const struct kt_state_job *job, const uint8_t *owner,
                         uint32_t n)
{
    bson_t doc, counts;
    BSON_APPEND_DOCUMENT_BEGIN(list, key, &doc);
    append_range_id(&doc, job, n);
    append_owner(&doc, owner);
    BSON_APPEND_BINARY(&doc, "at", BSON_SUBTYPE_BINARY, (const uint8_t *)"", 0);
    BSON_APPEND_BOOL(&doc, "done", false);
    BSON_APPEND_DOCUMENT_BEGIN(&doc, "counts", &counts);
    bson_append_document_end(&doc, &counts);
    bson_append_document_end(list, &doc);
}

/* Those that are there already answer with a duplicate key. */
static enum kt_status insert_missing(struct kt_mongo *mongo, const struct kt_state_job *job,
                                     const uint8_t *owner, uint32_t first, uint32_t step,
                                     struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (uint32_t n = first; n < job->ranges_count && status == KT_OK;) {
        bson_t command = BSON_INITIALIZER, list, reply;
        int code = 0;
        BSON_APPEND_UTF8(&command, "insert", KT_STATE_CHECKPOINTS);
        BSON_APPEND_ARRAY_BEGIN(&command, "documents", &list);
        for (uint32_t i = 0; i < INSERT_MAX && n < job->ranges_count; i++, n += step) {
            char number[16];
            const char *key;
            bson_uint32_to_string(i, &key, number, sizeof number);
            append_range(&list, key, job, owner, n);
        }
        bson_append_array_end(&command, &list);
        BSON_APPEND_BOOL(&command, "ordered", false);
        status = kt_mongo_write(mongo, job->state_db, &command, &reply, &code, err);
        if (code == KT_CODE_DUPLICATE_KEY)
            status = KT_OK;
        bson_destroy(&reply);
        bson_destroy(&command);
    }
    return status;
}

/* first, first + step, ... */
void kt_state_append_part(bson_t *q, const char *key, uint32_t first, uint32_t step)
{
    bson_t mod, pair;
    BSON_APPEND_DOCUMENT_BEGIN(q, key, &mod);
    BSON_APPEND_ARRAY_BEGIN(&mod, "$mod", &pair);
    BSON_APPEND_INT32(&pair, "0", (int32_t)step);
    BSON_APPEND_INT32(&pair, "1", (int32_t)first);
    bson_append_array_end(&mod, &pair);
    bson_append_document_end(q, &mod);
}

static void append_range_filter(bson_t *q, const struct kt_state_job *job, uint32_t first, uint32_t step)
{
    BSON_APPEND_UTF8(q, "_id.ns", job->ns);
    BSON_APPEND_UTF8(q, "_id.is", "range");
    append_job(q, "_id.id", job);
    kt_state_append_part(q, "_id.n", first, step);
}

static enum kt_status own_them(struct kt_mongo *mongo, const struct kt_state_job *job, const uint8_t *owner,
                               uint32_t first, uint32_t step, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, q, u, set, reply;
    BSON_APPEND_UTF8(&command, "update", KT_STATE_CHECKPOINTS);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &item);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "q", &q);
    append_range_filter(&q, job, first, step);
    bson_append_document_end(&item, &q);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "u", &u);
    BSON_APPEND_DOCUMENT_BEGIN(&u, "$set", &set);
    append_owner(&set, owner);
    bson_append_document_end(&u, &set);
    bson_append_document_end(&item, &u);
    BSON_APPEND_BOOL(&item, "multi", true);
    bson_append_document_end(&list, &item);
    bson_append_array_end(&command, &list);
    enum kt_status status = kt_mongo_write(mongo, job->state_db, &command, &reply, NULL, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

struct reading {
    const struct kt_state_job *job;
    struct kt_state_range *ranges;
    uint32_t first, step;
    size_t count, seen;
};

static enum kt_status damaged(const struct reading *reading, struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT,
                   "%s: what %s." KT_STATE_CHECKPOINTS
                   " says of its ranges is damaged; --forget drops it and begins anew",
                   reading->job->ns, reading->job->state_db);
}

static bool read_n(const bson_t *doc, int64_t *n)
{
    bson_iter_t iter, at;
    if (!bson_iter_init(&iter, doc) || !bson_iter_find_descendant(&iter, "_id.n", &at))
        return false;
    *n = bson_iter_as_int64(&at);
    return true;
}

static enum kt_status take_range(void *context, const bson_t *doc, struct kt_error *err)
{
    struct reading *reading = context;
    bson_iter_t iter;
    int64_t n;
    uint32_t nbytes;
    const uint8_t *data;
    bson_t counts;
    bson_subtype_t subtype;
    if (!read_n(doc, &n) || n < reading->first || (n - reading->first) % reading->step != 0 ||
        (size_t)(n - reading->first) / reading->step >= reading->count)
        return damaged(reading, err);
    struct kt_state_range *range = &reading->ranges[(n - reading->first) / reading->step];
    range->n = (uint32_t)n;
    if (!bson_iter_init_find(&iter, doc, "owner") || !BSON_ITER_HOLDS_BINARY(&iter))
        return damaged(reading, err);
    bson_iter_binary(&iter, &subtype, &nbytes, &data);
    if (nbytes != sizeof range->owner)
        return damaged(reading, err);
    memcpy(range->owner, data, nbytes);
    if (!bson_iter_init_find(&iter, doc, "at") || kt_id_load(&range->at, &iter) != KT_OK)
        return damaged(reading, err);
    if (!bson_iter_init_find(&iter, doc, "done"))
        return damaged(reading, err);
    range->done = bson_iter_as_bool(&iter);
    if (!bson_iter_init_find(&iter, doc, "counts") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return damaged(reading, err);
    bson_iter_document(&iter, &nbytes, &data);
    if (!bson_init_static(&counts, data, nbytes))
        return damaged(reading, err);
    bson_destroy(&range->counts);
    bson_copy_to(&counts, &range->counts);
    reading->seen++;
    return KT_OK;
}

static enum kt_status read_ranges(struct kt_mongo *mongo, struct reading *reading, const bson_t *filter,
                                  struct kt_error *err)
{
    char ns[80];
    snprintf(ns, sizeof ns, "%s." KT_STATE_CHECKPOINTS, reading->job->state_db);
    enum kt_status status = kt_mongo_each(mongo, ns, filter, NULL, take_range, reading, err);
    if (status == KT_OK && reading->seen != reading->count)
        status = damaged(reading, err);
    return status;
}

enum kt_status kt_state_ranges_take(struct kt_mongo *mongo, const struct kt_state_job *job,
                                    const uint8_t *owner, uint32_t first, uint32_t step,
                                    struct kt_state_range *ranges, struct kt_error *err)
{
    struct reading reading = {.job = job, .ranges = ranges, .first = first, .step = step};
    bson_t filter = BSON_INITIALIZER;
    for (uint32_t n = first; n < job->ranges_count; n += step)
        reading.count++;
    append_range_filter(&filter, job, first, step);
    enum kt_status status = insert_missing(mongo, job, owner, first, step, err);
    if (status == KT_OK)
        status = own_them(mongo, job, owner, first, step, err);
    if (status == KT_OK)
        status = read_ranges(mongo, &reading, &filter, err);
    bson_destroy(&filter);
    return status;
}

enum kt_status kt_state_range_read(struct kt_mongo *mongo, const struct kt_state_job *job,
                                   struct kt_state_range *range, struct kt_error *err)
{
    struct reading reading = {.job = job, .ranges = range, .first = range->n, .step = 1, .count = 1};
    bson_t filter = BSON_INITIALIZER;
    append_range_id(&filter, job, range->n);
    enum kt_status status = read_ranges(mongo, &reading, &filter, err);
    bson_destroy(&filter);
    return status;
}

enum kt_txn_end kt_state_range_move(struct kt_lane *lane, const struct kt_state_job *job,
                                    const uint8_t *owner, const struct kt_state_range *range,
                                    const struct kt_id *to, bool done, const bson_t *counts,
                                    struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, q, u, set;
    int64_t matched;
    BSON_APPEND_UTF8(&command, "update", KT_STATE_CHECKPOINTS);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &item);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "q", &q);
    append_range_id(&q, job, range->n);
    append_owner(&q, owner);
    kt_id_append(&q, "at", &range->at);
    bson_append_document_end(&item, &q);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "u", &u);
    BSON_APPEND_DOCUMENT_BEGIN(&u, "$set", &set);
    kt_id_append(&set, "at", to);
    BSON_APPEND_BOOL(&set, "done", done);
    BSON_APPEND_DOCUMENT(&set, "counts", counts);
    bson_append_document_end(&u, &set);
    bson_append_document_end(&item, &u);
    bson_append_document_end(&list, &item);
    bson_append_array_end(&command, &list);
    enum kt_txn_end end =
        kt_txn_write(lane, job->state_db, kt_span_of(bson_get_data(&command), command.len), &matched, err);
    bson_destroy(&command);
    if (end == KT_TXN_OK && matched != 1) {
        kt_txn_abort(lane);
        kt_fail(err, KT_E_NET, "%s: lease lost: another keyturn has taken this job over", job->ns);
        end = KT_TXN_LOST;
    }
    return end;
}
