/* SPDX-License-Identifier: Apache-2.0 */
/* The job's document, and what concerns a namespace's state as a whole. state_range.c has the ranges. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "io/mongo/fault.h"
#include "io/mongo/state_private.h"

static enum kt_status create(struct kt_mongo *mongo, const char *db, const char *name, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    int code = 0;
    BSON_APPEND_UTF8(&command, "create", name);
    enum kt_status status = kt_mongo_write(mongo, db, &command, &reply, &code, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return code == KT_CODE_NAMESPACE_EXISTS ? KT_OK : status;
}

enum kt_status kt_state_create(struct kt_mongo *mongo, const char *state_db, struct kt_error *err)
{
    enum kt_status status = create(mongo, state_db, KT_STATE_CHECKPOINTS, err);
    return status == KT_OK ? create(mongo, state_db, KT_STATE_FAILURES, err) : status;
}

void kt_state_job_free(struct kt_state_job *job)
{
    for (size_t i = 0; i + 1 < job->ranges_count; i++)
        kt_id_free(&job->bounds[i]);
    free(job->bounds);
    free(job->backup);
    job->bounds = NULL;
    job->backup = NULL;
    job->ranges_count = 0;
}

static void append_job_id(bson_t *out, const char *ns)
{
    bson_t id;
    BSON_APPEND_DOCUMENT_BEGIN(out, "_id", &id);
    BSON_APPEND_UTF8(&id, "ns", ns);
    BSON_APPEND_UTF8(&id, "is", "job");
    bson_append_document_end(out, &id);
}

/* The 16 bytes under `key`; false: there are none. */
static bool read_id(const bson_t *doc, const char *key, uint8_t id[16])
{
    bson_iter_t iter;
    bson_subtype_t subtype;
    uint32_t nbytes = 0;
    const uint8_t *data = NULL;
    if (bson_iter_init_find(&iter, doc, key) && BSON_ITER_HOLDS_BINARY(&iter))
        bson_iter_binary(&iter, &subtype, &nbytes, &data);
    if (nbytes == 16)
        memcpy(id, data, nbytes);
    return nbytes == 16;
}

static enum kt_status damaged(const struct kt_state_job *job, struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT,
                   "%s: what %s." KT_STATE_CHECKPOINTS
                   " says of its job is damaged; --forget drops it and begins anew",
                   job->ns, job->state_db);
}

static enum kt_status read_bounds(struct kt_state_job *job, const bson_iter_t *list, struct kt_error *err)
{
    bson_iter_t item;
    size_t count = 0;
    if (!BSON_ITER_HOLDS_ARRAY(list) || !bson_iter_recurse(list, &item))
        return damaged(job, err);
    while (bson_iter_next(&item))
        count++;
    job->bounds = calloc(count ? count : 1, sizeof *job->bounds);
    if (!job->bounds)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    job->ranges_count = count + 1;
    if (!bson_iter_recurse(list, &item))
        return damaged(job, err);
    for (size_t i = 0; i < count && bson_iter_next(&item); i++) {
        if (kt_id_load(&job->bounds[i], &item) != KT_OK || !kt_id_is_set(&job->bounds[i]))
            return damaged(job, err);
    }
    return KT_OK;
}

struct reading {
    struct kt_state_job *job;
    bool found;
};

static enum kt_status take_job(void *context, const bson_t *doc, struct kt_error *err)
{
    struct reading *reading = context;
    struct kt_state_job *job = reading->job;
    bson_iter_t iter;
    if (reading->found)
        return damaged(job, err);
    reading->found = true;
    if (!bson_iter_init_find(&iter, doc, "keyturn") || bson_iter_as_int64(&iter) != KT_STATE_VERSION)
        return kt_fail(
            err, KT_E_OTHER_JOB,
            "%s: its job was begun by another version of keyturn; finish it with that one, or drop "
            "it with --forget",
            job->ns);
    if (!read_id(doc, "id", job->id))
        return damaged(job, err);
    if (!bson_iter_init_find(&iter, doc, "command") || !BSON_ITER_HOLDS_UTF8(&iter))
        return damaged(job, err);
    snprintf(job->command, sizeof job->command, "%s", bson_iter_utf8(&iter, NULL));
    if (!bson_iter_init_find(&iter, doc, "job") || !BSON_ITER_HOLDS_UTF8(&iter))
        return damaged(job, err);
    snprintf(job->job, sizeof job->job, "%s", bson_iter_utf8(&iter, NULL));
    if (!bson_iter_init_find(&iter, doc, "partitions") || bson_iter_as_int64(&iter) < 1 ||
        bson_iter_as_int64(&iter) > INT32_MAX)
        return damaged(job, err);
    job->partitions = (int)bson_iter_as_int64(&iter);
    if (bson_iter_init_find(&iter, doc, "backup") && BSON_ITER_HOLDS_UTF8(&iter))
        job->backup = strdup(bson_iter_utf8(&iter, NULL));
    return bson_iter_init_find(&iter, doc, "bounds") ? read_bounds(job, &iter, err) : damaged(job, err);
}

enum kt_status kt_state_job_read(struct kt_mongo *mongo, struct kt_state_job *job, bool *found,
                                 struct kt_error *err)
{
    char ns[80];
    bson_t filter = BSON_INITIALIZER;
    struct reading reading = {.job = job};
    append_job_id(&filter, job->ns);
    snprintf(ns, sizeof ns, "%s." KT_STATE_CHECKPOINTS, job->state_db);
    enum kt_status status = kt_mongo_each(mongo, ns, &filter, NULL, take_job, &reading, err);
    *found = reading.found;
    bson_destroy(&filter);
    return status;
}

static enum kt_status insert(struct kt_mongo *mongo, const struct kt_state_job *job, bool *ours,
                             struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, docs, doc, bounds, reply;
    int code = 0;
    BSON_APPEND_UTF8(&command, "insert", KT_STATE_CHECKPOINTS);
    BSON_APPEND_ARRAY_BEGIN(&command, "documents", &docs);
    BSON_APPEND_DOCUMENT_BEGIN(&docs, "0", &doc);
    append_job_id(&doc, job->ns);
    BSON_APPEND_INT32(&doc, "keyturn", KT_STATE_VERSION);
    BSON_APPEND_BINARY(&doc, "id", BSON_SUBTYPE_UUID, job->id, sizeof job->id);
    BSON_APPEND_UTF8(&doc, "command", job->command);
    BSON_APPEND_UTF8(&doc, "job", job->job);
    BSON_APPEND_INT32(&doc, "partitions", job->partitions);
    BSON_APPEND_ARRAY_BEGIN(&doc, "bounds", &bounds);
    for (size_t i = 0; i + 1 < job->ranges_count; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        kt_id_append(&bounds, key, &job->bounds[i]);
    }
    bson_append_array_end(&doc, &bounds);
    if (job->backup)
        BSON_APPEND_UTF8(&doc, "backup", job->backup);
    BSON_APPEND_DATE_TIME(&doc, "begun", kt_clock_utc_ms());
    bson_append_document_end(&docs, &doc);
    bson_append_array_end(&command, &docs);
    enum kt_status status = kt_mongo_write(mongo, job->state_db, &command, &reply, &code, err);
    *ours = status == KT_OK;
    bson_destroy(&reply);
    bson_destroy(&command);
    return code == KT_CODE_DUPLICATE_KEY ? KT_OK : status;
}

/* By one command, in this order: nobody can be killed between them. */
static enum kt_status delete_each(struct kt_mongo *mongo, const char *db, const char *coll,
                                  const bson_t *const *qs, uint32_t count, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, reply;
    BSON_APPEND_UTF8(&command, "delete", coll);
    BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &list);
    for (uint32_t i = 0; i < count; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string(i, &key, number, sizeof number);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &item);
        BSON_APPEND_DOCUMENT(&item, "q", qs[i]);
        BSON_APPEND_INT32(&item, "limit", 0);
        bson_append_document_end(&list, &item);
    }
    bson_append_array_end(&command, &list);
    enum kt_status status = kt_mongo_write(mongo, db, &command, &reply, NULL, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_state_delete(struct kt_mongo *mongo, const char *db, const char *coll, const bson_t *q,
                               struct kt_error *err)
{
    return delete_each(mongo, db, coll, &q, 1, err);
}

/* {KEY: id}, or {KEY: {$ne: id}}; id NULL: nothing. */
static void append_whose(bson_t *q, const char *key, const uint8_t *id, bool others)
{
    bson_t other;
    if (id && !others)
        BSON_APPEND_BINARY(q, key, BSON_SUBTYPE_UUID, id, 16);
    if (!id || !others)
        return;
    BSON_APPEND_DOCUMENT_BEGIN(q, key, &other);
    BSON_APPEND_BINARY(&other, "$ne", BSON_SUBTYPE_UUID, id, 16);
    bson_append_document_end(q, &other);
}

/* Ranges of the namespace: of all jobs (id NULL), of one, or of all others. */
static void append_ranges(bson_t *q, const char *ns, const uint8_t *id, bool others)
{
    BSON_APPEND_UTF8(q, "_id.ns", ns);
    BSON_APPEND_UTF8(q, "_id.is", "range");
    append_whose(q, "_id.id", id, others);
}

/* Failures in the same way. */
static enum kt_status delete_failures(struct kt_mongo *mongo, const char *state_db, const char *ns,
                                      const uint8_t *id, bool others, struct kt_error *err)
{
    bson_t failures = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&failures, "ns", ns);
    append_whose(&failures, "id", id, others);
    enum kt_status status = kt_state_delete(mongo, state_db, KT_STATE_FAILURES, &failures, err);
    bson_destroy(&failures);
    return status;
}

enum kt_status kt_state_job_insert(struct kt_mongo *mongo, const struct kt_state_job *job, bool *ours,
                                   struct kt_error *err)
{
    bson_t ranges = BSON_INITIALIZER;
    enum kt_status status = insert(mongo, job, ours, err);
    if (status == KT_OK && *ours)
        status = delete_failures(mongo, job->state_db, job->ns, job->id, true, err);
    append_ranges(&ranges, job->ns, job->id, true);
    if (status == KT_OK && *ours)
        status = kt_state_delete(mongo, job->state_db, KT_STATE_CHECKPOINTS, &ranges, err);
    bson_destroy(&ranges);
    return status;
}

/* The job's document goes first: without it the rest is nobody's, and nobody joins a job that is half gone.
 */
static enum kt_status drop(struct kt_mongo *mongo, const char *state_db, const char *ns, const uint8_t *id,
                           struct kt_error *err)
{
    bson_t job = BSON_INITIALIZER, ranges = BSON_INITIALIZER;
    const bson_t *const both[] = {&job, &ranges};
    append_job_id(&job, ns);
    append_whose(&job, "id", id, false);
    append_ranges(&ranges, ns, id, false);
    enum kt_status status = delete_each(mongo, state_db, KT_STATE_CHECKPOINTS, both, 2, err);
    bson_destroy(&job);
    bson_destroy(&ranges);
    return status == KT_OK ? delete_failures(mongo, state_db, ns, id, false, err) : status;
}

enum kt_status kt_state_drop(struct kt_mongo *mongo, const struct kt_state_job *job, struct kt_error *err)
{
    return drop(mongo, job->state_db, job->ns, job->id, err);
}

enum kt_status kt_state_forget(struct kt_mongo *mongo, const char *state_db, const char *ns,
                               struct kt_error *err)
{
    return drop(mongo, state_db, ns, NULL, err);
}
