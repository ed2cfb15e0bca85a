/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrap of a key vault in a file: survey, steps for each batch, and the key documents laid out with their
 * new fields. */
#include "jobs/rewrap.h"

#include <stdlib.h>

#include "common/clock.h"
#include "jobs/live.h"

/* Key documents are small; fewer bytes a batch keep the plaintext of its DEKs small too. */
#define REWRAP_BATCH_NBYTES ((size_t)256 << 10)
#define ROUND_KEYS_MAX 1024
#define ROUND_KEYS_MIN 16

static size_t updated_nbytes(const struct kt_rewrap_key *key)
{
    return kt_key_doc_update_nbytes(&key->key, kt_cmk_stored(key->to), key->made.nbytes);
}

static size_t write_updated(const struct kt_rewrap_key *key, int64_t now_ms, uint8_t *out)
{
    size_t hole;
    size_t nbytes =
        kt_key_doc_update(&key->key, kt_cmk_stored(key->to), key->made.nbytes, now_ms, out, &hole);
    memcpy(out + hole, key->made.data, key->made.nbytes);
    return nbytes;
}

/* Keys that were rewrapped get their new fields; all other documents are copied. */
static enum kt_status lay_out(struct kt_job_batch *batch)
{
    size_t total = batch->piece.nbytes, at = 0, next = 0, count;
    const struct kt_rewrap_key *keys = kt_rewrap_batch_keys(batch, &count);
    int64_t now_ms = kt_clock_utc_ms();
    for (size_t i = 0; i < count; i++)
        total += updated_nbytes(&keys[i]);
    enum kt_status status = kt_region_reserve(&batch->out, total);
    for (uint32_t d = 0; d < batch->docs_count && status == KT_OK; d++) {
        const struct kt_doc *doc = &batch->docs[d];
        const struct kt_rewrap_key *key = next < count && keys[next].doc == d ? &keys[next++] : NULL;
        if (key && key->status == KT_OK) {
            at += write_updated(key, now_ms, batch->out.data + at);
            batch->counts.keys.rewrapped++;
            continue;
        }
        memcpy(batch->out.data + at, batch->in.data + doc->at, doc->nbytes);
        at += doc->nbytes;
    }
    batch->result = kt_span_of(batch->out.data, at);
    return status;
}

static enum kt_status rewrap_process(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                                     bool *parked)
{
    enum kt_status status = kt_rewrap_batch_advance(job, worker, batch, parked);
    if (status != KT_OK || *parked)
        return status;
    if (job->doomed)
        return KT_OK;
    if (!job->options.dry_run)
        return lay_out(batch);
    size_t planned;
    (void)kt_rewrap_batch_keys(batch, &planned);
    batch->counts.keys.rewrapped = planned;
    return KT_OK;
}

static void rewrap_written(struct kt_job *job, const struct kt_job_batch *batch)
{
    size_t count;
    const struct kt_rewrap_key *keys = kt_rewrap_batch_keys(batch, &count);
    for (size_t i = 0; i < count; i++)
        keys[i].from->rewrapped += keys[i].status == KT_OK && (keys[i].made.data || job->options.dry_run);
}

static bool rewrap_save(struct kt_job *job, bson_t *out)
{
    const struct kt_rewrap *rewrap = job->state;
    bson_t list;
    bool ok = BSON_APPEND_ARRAY_BEGIN(out, "cmks", &list);
    for (size_t i = 0; i < rewrap->cmks.count && ok; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        ok = BSON_APPEND_INT64(&list, key, (int64_t)rewrap->cmks.v[i]->rewrapped);
    }
    return ok && bson_append_array_end(out, &list);
}

static bool rewrap_load(struct kt_job *job, const bson_t *doc)
{
    struct kt_rewrap *rewrap = job->state;
    bson_iter_t list, item;
    if (!bson_iter_init_find(&list, doc, "cmks") || !bson_iter_recurse(&list, &item))
        return false;
    for (size_t i = 0; i < rewrap->cmks.count && bson_iter_next(&item); i++)
        rewrap->cmks.v[i]->rewrapped = (uint64_t)bson_iter_as_int64(&item);
    return true;
}

static enum kt_status open_target(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    const char *provider = job->options.provider;
    struct kt_span given = job->options.master_key.bson;
    struct kt_buf stored = {0};
    if (!provider)
        return given.data
                   ? kt_fail(err, KT_E_USAGE, "--master-key needs --provider, which says whose key it is")
                   : KT_OK;
    enum kt_status status = kt_master_key_normalise(kt_span_str(provider), given, &stored, err);
    if (status == KT_OK &&
        kt_cmk_new(&rewrap->target, &rewrap->cmks, kt_span_of(stored.data, stored.nbytes)) != KT_OK)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    kt_buf_free(&stored);
    if (status == KT_OK && !rewrap->target->strategy)
        status = kt_fail(err, KT_E_NO_PROVIDER, "%s lacks provider \"%s\"", job->options.kms_providers.name,
                         provider);
    return status;
}

static enum kt_status rewrap_open(struct kt_job *job, struct kt_error *err)
{
    struct kt_rewrap *rewrap = calloc(1, sizeof *rewrap);
    if (!rewrap)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    job->state = rewrap;
    job->team.want = REWRAP_BATCH_NBYTES;
    rewrap->older_than_ms = job->options.older_than_ms;
    rewrap->now_ms = kt_clock_utc_ms();
    rewrap->cmks.providers = job->providers;
    rewrap->cmks.strategies = &job->strategies;
    size_t share = kt_secmem_available(job->secmem) / 2 / kt_team_batches(job->threads);
    size_t keys_max = share / (2 * KT_DEK_NBYTES);
    rewrap->keys_max = keys_max > ROUND_KEYS_MAX   ? ROUND_KEYS_MAX
                       : keys_max < ROUND_KEYS_MIN ? ROUND_KEYS_MIN
                                                   : keys_max;
    enum kt_status status = KT_OK;
    /* A server looks by itself. */
    if (job->options.filter.bson.data && !job->live)
        status = kt_filter_new(&rewrap->filter, job->options.filter.bson, err);
    if (status == KT_OK)
        status = open_target(job, rewrap, err);
    if (status == KT_OK)
        status = kt_rewrap_survey(job, rewrap, err);
    if (status == KT_OK)
        status = kt_rewrap_try_sources(job, rewrap, err);
    if (status == KT_OK)
        status = kt_rewrap_aim(job, rewrap, err);
    if (status == KT_OK)
        status = kt_rewrap_try_targets(job, rewrap, err);
    return status == KT_OK ? kt_rewrap_plan(job, rewrap, err) : status;
}

/* DEKs that a server's filter left out may be under any. */
static bool is_needed(const struct kt_job *job, const struct kt_cmk *cmk)
{
    const struct kt_rewrap *rewrap = job->state;
    for (size_t i = 0; i < rewrap->cmks.count; i++) {
        const struct kt_cmk *from = rewrap->cmks.v[i], *to = from->to ? from->to : from;
        if (kt_master_key_may_be_same(kt_cmk_stored(cmk), kt_cmk_stored(to)))
            return true;
    }
    return job->live && job->live->query;
}

static void rewrap_result(struct kt_job *job)
{
    struct kt_rewrap *rewrap = job->state;
    struct kt_cmk_counts *cmks = calloc(rewrap->cmks.count ? rewrap->cmks.count : 1, sizeof *cmks);
    rewrap->result = cmks;
    if (!cmks)
        return;
    for (size_t i = 0; i < rewrap->cmks.count; i++) {
        const struct kt_cmk *cmk = rewrap->cmks.v[i];
        const struct kt_cmk *to = cmk->to ? cmk->to : cmk;
        cmks[i] = (struct kt_cmk_counts){.from = cmk->name,
                                         .to = to->name,
                                         .from_master_key = kt_cmk_stored(cmk),
                                         .to_master_key = kt_cmk_stored(to),
                                         .matched = cmk->keys,
                                         .needed = is_needed(job, cmk),
                                         .rewrapped = job->result.withheld ? 0 : cmk->rewrapped};
    }
    job->result.keys.cmks = cmks;
    job->result.keys.cmks_count = rewrap->cmks.count;
}

static void rewrap_close(struct kt_job *job)
{
    struct kt_rewrap *rewrap = job->state;
    for (size_t i = 0; i < job->team.batches_count; i++)
        kt_rewrap_batch_free(job, &job->team.batches[i]);
    if (!rewrap)
        return;
    for (size_t i = 0; rewrap->own && i < rewrap->cmks.count; i++)
        kt_cmk_free(rewrap->own[i]);
    free(rewrap->own);
    kt_cmk_free(rewrap->target);
    kt_cmks_free(&rewrap->cmks);
    free(rewrap->result);
    kt_filter_free(rewrap->filter);
    free(rewrap);
}

const struct kt_command kt_command_rewrap = {.name = "rewrap",
                                             .writes = true,
                                             .open = rewrap_open,
                                             .process = rewrap_process,
                                             .written = rewrap_written,
                                             .save = rewrap_save,
                                             .load = rewrap_load,
                                             .result = rewrap_result,
                                             .close = rewrap_close};
