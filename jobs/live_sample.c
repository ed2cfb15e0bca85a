/* SPDX-License-Identifier: Apache-2.0 */
/* Before the start: some documents are read and processed as the job would, and nothing is written. That
 * gives the plan its figures, and shows a validator that would refuse what the job makes. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "jobs/lane.h"
#include "jobs/live_checks.h"
#include "jobs/rewrap.h"

#define SAMPLE_DOCS 500
#define SAMPLE_DOCS_LEAST 10
#define FOUND_DOCS_MAX 20000
#define PACE_DOCS 10000
#define PACE_NBYTES ((uint64_t)32 << 20)
#define SAMPLE_NBYTES ((size_t)3 << 20)
#define VALIDATED_DOCS 50
#define VALIDATED_NBYTES ((size_t)4 << 20)

static const struct kt_entry no_entry = {.file = "", .ns = ""};

static enum kt_status take_doc(void *context, const bson_t *doc, struct kt_error *err)
{
    struct kt_job_batch *batch = context;
    size_t nbytes = batch->piece.nbytes;
    if (nbytes + doc->len > SAMPLE_NBYTES && nbytes)
        return KT_OK;
    if (kt_region_reserve(&batch->in, nbytes + doc->len) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    memcpy(batch->in.data + nbytes, bson_get_data(doc), doc->len);
    batch->piece.nbytes += doc->len;
    return KT_OK;
}

static bool enforced(const struct kt_live_ns *ns, bson_t *validator)
{
    bson_iter_t iter;
    uint32_t nbytes;
    const uint8_t *data;
    const bson_t *options = &ns->facts.options;
    if (bson_iter_init_find(&iter, options, "validationLevel") && BSON_ITER_HOLDS_UTF8(&iter) &&
        strcmp(bson_iter_utf8(&iter, NULL), "off") == 0)
        return false;
    if (bson_iter_init_find(&iter, options, "validationAction") && BSON_ITER_HOLDS_UTF8(&iter) &&
        strcmp(bson_iter_utf8(&iter, NULL), "error") != 0)
        return false;
    if (!bson_iter_init_find(&iter, options, "validator") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return false;
    bson_iter_document(&iter, &nbytes, &data);
    return bson_init_static(validator, data, nbytes) && bson_count_keys(validator) > 0;
}

/* No more than are kept anyway. */
static int32_t sample_size(const struct kt_live_ns *ns)
{
    uint64_t fit = ns->facts.average_nbytes ? SAMPLE_NBYTES / ns->facts.average_nbytes : SAMPLE_DOCS;
    return fit > SAMPLE_DOCS ? SAMPLE_DOCS : fit < SAMPLE_DOCS_LEAST ? SAMPLE_DOCS_LEAST : (int32_t)fit;
}

static void add_stage(bson_t *stages, uint32_t n, const char *name, const bson_t *value)
{
    char number[16];
    const char *key;
    bson_t stage;
    bson_uint32_to_string(n, &key, number, sizeof number);
    BSON_APPEND_DOCUMENT_BEGIN(stages, key, &stage);
    BSON_APPEND_DOCUMENT(&stage, name, value);
    bson_append_document_end(stages, &stage);
}

/* Of each document what the job will read of it; all of it for a validator. */
static enum kt_status draw(struct kt_live *live, struct kt_live_ns *ns, struct kt_job_batch *batch,
                           struct kt_error *err)
{
    bson_t pipeline = BSON_INITIALIZER, size = BSON_INITIALIZER, stages, stage, validator;
    bool whole = ns->whole || enforced(ns, &validator);
    uint32_t n = 0;
    BSON_APPEND_INT32(&size, "size", whole ? sample_size(ns) : SAMPLE_DOCS);
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);
    if (ns->by_query) {
        add_stage(&stages, n++, "$match", live->query);
        /* Drawing at random looks at all that it draws from. */
        BSON_APPEND_DOCUMENT_BEGIN(&stages, "1", &stage);
        BSON_APPEND_INT64(&stage, "$limit", FOUND_DOCS_MAX);
        bson_append_document_end(&stages, &stage);
        n++;
    }
    add_stage(&stages, n++, "$sample", &size);
    if (!whole)
        add_stage(&stages, n, "$project", &ns->projection);
    bson_append_array_end(&pipeline, &stages);
    enum kt_status status =
        kt_mongo_aggregate(live->mongo, ns->ns->name, &pipeline, NULL, take_doc, batch, err);
    bson_destroy(&pipeline);
    bson_destroy(&size);
    return status;
}

static enum kt_status process(struct kt_live *live, struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_job *job = live->job;
    bool parked;
    enum kt_status status;
    do {
        parked = false;
        kt_lane_await(lane);
        status = job->command->process(job, lane->worker, &lane->batch, &parked);
        if (parked)
            kt_lane_wait_for_keys(lane);
    } while (parked && status == KT_OK);
    if (status != KT_OK)
        kt_fail(err, status, "%s: %s", lane->batch.ns->name,
                *lane->batch.error.message ? lane->batch.error.message : kt_status_text(status));
    return status;
}

/* {$documents: {$literal: [...]}}, so that nothing in them is taken for an expression. */
static void append_documents(bson_t *stages, const uint8_t *docs, size_t nbytes, uint32_t *count)
{
    bson_t stage, documents, list;
    BSON_APPEND_DOCUMENT_BEGIN(stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$documents", &documents);
    BSON_APPEND_ARRAY_BEGIN(&documents, "$literal", &list);
    for (size_t at = 0; at < nbytes && *count < VALIDATED_DOCS; at += kt_load_le32(docs + at)) {
        char number[16];
        const char *key;
        bson_t doc;
        uint32_t doc_nbytes = kt_load_le32(docs + at);
        if (at + doc_nbytes > VALIDATED_NBYTES || !bson_init_static(&doc, docs + at, doc_nbytes))
            break;
        bson_uint32_to_string((*count)++, &key, number, sizeof number);
        BSON_APPEND_DOCUMENT(&list, key, &doc);
    }
    bson_append_array_end(&documents, &list);
    bson_append_document_end(&stage, &documents);
    bson_append_document_end(stages, &stage);
}

static enum kt_status count_one(void *context, const bson_t *doc, struct kt_error *err)
{
    (void)doc, (void)err;
    ++*(uint32_t *)context;
    return KT_OK;
}

/* How many of the documents the validator takes; the server itself is asked, without storing anything. */
static enum kt_status ask_validator(struct kt_live *live, const struct kt_live_ns *ns,
                                    const bson_t *validator, const uint8_t *docs, size_t nbytes,
                                    uint32_t *given, uint32_t *taken, struct kt_error *err)
{
    bson_t pipeline = BSON_INITIALIZER, stages;
    *given = *taken = 0;
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);
    append_documents(&stages, docs, nbytes, given);
    add_stage(&stages, 1, "$match", validator);
    bson_append_array_end(&pipeline, &stages);
    enum kt_status status =
        *given ? kt_mongo_aggregate_db(live->mongo, ns->db, &pipeline, count_one, taken, err) : KT_OK;
    bson_destroy(&pipeline);
    return status;
}

/* A validator that takes the documents as they are, but none of them as they would be, stands in the job's
 * way; one that refuses some is these documents' matter. */
static enum kt_status check_validator(struct kt_live *live, struct kt_live_ns *ns,
                                      const struct kt_job_batch *batch, struct kt_error *err)
{
    bson_t validator;
    uint32_t given, before, after;
    /* $documents came with 5.1. */
    if (!enforced(ns, &validator) || kt_mongo_version(live->mongo) < 50100 || batch->counts.ns.changed == 0)
        return KT_OK;
    enum kt_status status =
        ask_validator(live, ns, &validator, batch->in.data, batch->piece.nbytes, &given, &before, err);
    if (status == KT_OK)
        status = ask_validator(live, ns, &validator, batch->result.data, batch->result.nbytes, &given, &after,
                               err);
    if (status != KT_OK || after >= before)
        return status;
    bool others = live->query && !ns->by_query; /* it was not asked which ones */
    if (after > 0 || others) {
        kt_job_warn(live->job,
                    "%s: its validator would refuse %u of %u documents that it takes now: these will fail",
                    ns->ns->name, before - after, before);
        return KT_OK;
    }
    return kt_fail(
        err, KT_E_USAGE,
        "%s: its validator would refuse every one of the %u documents that were tried; change it with "
        "collMod, so that it takes the result, or set its validationAction to \"warn\" for the time being",
        ns->ns->name, before);
}

static enum kt_status count_doc(void *context, const bson_t *doc, struct kt_error *err)
{
    (void)doc, (void)err;
    ++*(uint64_t *)context;
    return KT_OK;
}

/* How fast one lane would read, which tells more of server and network than the documents drawn at random. */
static enum kt_status pace(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    bson_t all = BSON_INITIALIZER, opts = BSON_INITIALIZER, hint;
    uint64_t fit = ns->facts.average_nbytes ? PACE_NBYTES / ns->facts.average_nbytes + 1 : PACE_DOCS;
    if (!ns->whole)
        BSON_APPEND_DOCUMENT(&opts, "projection", &ns->projection);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "hint", &hint);
    BSON_APPEND_INT32(&hint, "_id", 1);
    bson_append_document_end(&opts, &hint);
    BSON_APPEND_INT64(&opts, "limit", fit > PACE_DOCS ? PACE_DOCS : (int64_t)fit);
    BSON_APPEND_INT64(&opts, "batchSize", KT_LANE_DOCS_MAX);
    uint64_t since_ns = kt_clock_ns();
    enum kt_status status = kt_mongo_each(live->mongo, ns->ns->name, &all, &opts, count_doc, &ns->paced, err);
    ns->paced_seconds = (double)(kt_clock_ns() - since_ns) / 1e9;
    bson_destroy(&all);
    bson_destroy(&opts);
    return status;
}

static enum kt_status sample(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    struct kt_live_lane *lane = &live->lanes[0];
    struct kt_job_batch *batch = &lane->batch;
    kt_job_batch_clear(batch);
    batch->piece = (struct kt_piece){.kind = KT_PIECE_DOCS};
    batch->entry = &no_entry;
    batch->ns = ns->ns;
    batch->owner = lane;
    enum kt_status status = draw(live, ns, batch, err);
    if (status == KT_OK && batch->piece.nbytes)
        status = process(live, lane, err);
    if (status == KT_OK && batch->piece.nbytes && !live->copies)
        status = check_validator(live, ns, batch, err);
    if (status == KT_OK && !live->reads_only)
        status = pace(live, ns, err);
    if (status == KT_OK)
        status = kt_counts_init(&ns->sample, ns->ns->counts.paths_count);
    if (status == KT_OK)
        kt_counts_add(&ns->sample, &batch->counts);
    kt_job_batch_clear(batch);
    return status;
}

enum kt_status kt_live_sample(struct kt_live *live, struct kt_error *err)
{
    struct kt_job *job = live->job;
    enum kt_status status = KT_OK;
    if (!job->command->writes || job->command == &kt_command_rewrap)
        return KT_OK;
    enum kt_status (*lay_out)(struct kt_job *, struct kt_job_batch *) = job->lay_out;
    job->lay_out = NULL;
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++) {
        if (live->namespaces[i].facts.kind != KT_COLL_MISSING && live->namespaces[i].documents)
            status = sample(live, &live->namespaces[i], err);
    }
    job->lay_out = lay_out;
    return status;
}
