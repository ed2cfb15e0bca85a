/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrap: key documents in; unwrap, wrap, and a proof that the new wrap opens to the same bytes before
 * anything is laid out. The plaintext of at most keys_max DEKs of a batch is there at a time: longer batches
 * go in rounds. A strategy that answers later parks the batch; each step then begins where the last one
 * ended. */
#include "jobs/rewrap.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "jobs/only.h"

/* Key documents are small; fewer bytes a batch keep the plaintext of its DEKs small too. */
#define REWRAP_BATCH_NBYTES ((size_t)256 << 10)
#define ROUND_KEYS_MAX 1024
#define ROUND_KEYS_MIN 16

enum step { STEP_NONE, STEP_UNWRAP, STEP_WRAP, STEP_PROVE };

/* A batch's own part. */
struct rewrap_batch {
    struct kt_rewrap_key *keys;
    size_t count, capacity;
    size_t round, round_end; /* keys in hand */
    enum step step;
    struct kt_wrap_item *items; /* of the running step, grouped by CMK */
    size_t items_count;
    struct kt_rewrap_key **item_keys;
    struct kt_wrap_batch *groups;
    size_t groups_capacity;
    struct kt_buf made;    /* new wraps of the whole batch */
    uint8_t *deks, *again; /* keys_max DEKs each, locked */
    atomic_size_t open;    /* groups without an answer, plus one while they are being started */
    struct kt_job_batch *batch;
};

static enum kt_status fail_key(struct kt_job_batch *batch, uint32_t doc, const char *reason)
{
    batch->counts.keys.failed++;
    return kt_batch_fail_doc(batch, &batch->docs[doc], KT_NO_OP, "%s", reason);
}

static struct rewrap_batch *extra_of(struct kt_job *job, struct kt_job_batch *batch)
{
    const struct kt_rewrap *rewrap = job->state;
    if (batch->extra)
        return batch->extra;
    struct rewrap_batch *extra = calloc(1, sizeof *extra);
    if (!extra)
        return NULL;
    extra->batch = batch;
    extra->items = calloc(rewrap->keys_max, sizeof *extra->items);
    extra->item_keys = calloc(rewrap->keys_max, sizeof *extra->item_keys);
    extra->deks = kt_secmem_alloc(job->secmem, 2 * rewrap->keys_max * KT_DEK_NBYTES);
    extra->again = extra->deks ? extra->deks + rewrap->keys_max * KT_DEK_NBYTES : NULL;
    batch->extra = extra; /* freed with the job, whole or not */
    return extra->items && extra->item_keys && extra->deks ? extra : NULL;
}

static void extra_free(struct kt_job *job, struct rewrap_batch *extra)
{
    if (!extra)
        return;
    kt_secmem_free(job->secmem, extra->deks);
    kt_buf_free(&extra->made);
    free(extra->keys);
    free(extra->items);
    free(extra->item_keys);
    free(extra->groups);
    free(extra);
}

static enum kt_status add_key(struct rewrap_batch *extra, const struct kt_rewrap_key *key)
{
    if (extra->count == extra->capacity) {
        size_t capacity = extra->capacity ? 2 * extra->capacity : 512;
        struct kt_rewrap_key *keys = realloc(extra->keys, capacity * sizeof *keys);
        if (!keys)
            return KT_E_NOMEM;
        extra->keys = keys;
        extra->capacity = capacity;
    }
    extra->keys[extra->count++] = *key;
    return KT_OK;
}

static enum kt_status plan_key(struct kt_job *job, struct kt_job_batch *batch, struct rewrap_batch *extra,
                               uint32_t doc)
{
    struct kt_rewrap *rewrap = job->state;
    struct kt_error why;
    struct kt_rewrap_key key = {.doc = doc};
    struct kt_span bytes = kt_span_of(batch->in.data + batch->docs[doc].at, batch->docs[doc].nbytes);
    if (kt_key_doc_parse(bytes, &key.key, &why) != KT_OK)
        return fail_key(batch, doc, why.message);
    if (!kt_rewrap_matches(rewrap, &key.key))
        return KT_OK;
    if (job->only && !kt_only_has(job->only, batch->ns->name, batch->in.data, &batch->docs[doc]))
        return KT_OK;
    batch->counts.keys.matched++;
    key.from = kt_rewrap_cmk(rewrap, &key.key);
    if (!key.from)
        return fail_key(batch, doc, "its CMK was not there when the job began: the key vault has changed");
    key.to = rewrap->target.provider ? &rewrap->target : key.from;
    return add_key(extra, &key);
}

static enum kt_status plan(struct kt_job *job, struct kt_job_batch *batch, struct rewrap_batch *extra)
{
    enum kt_status status = kt_job_batch_split(batch);
    extra->count = extra->round = extra->round_end = 0;
    extra->step = STEP_NONE;
    extra->made.nbytes = 0;
    for (uint32_t i = 0; i < batch->docs_count && status == KT_OK; i++)
        status = plan_key(job, batch, extra, i);
    size_t room = 0;
    for (size_t i = 0; i < extra->count; i++)
        room += extra->keys[i].to->strategy->wrapped_nbytes_max;
    batch->counts.keys.read = batch->docs_count;
    batch->planned = true;
    return status == KT_OK ? kt_buf_reserve(&extra->made, room) : status;
}

/* The last answer of a step: the worker goes on by itself when it is still there, else the batch is queued.
 */
static bool answered(struct rewrap_batch *extra)
{
    return atomic_fetch_sub(&extra->open, 1) == 1;
}

static void group_done(struct kt_wrap_batch *group)
{
    struct rewrap_batch *extra = group->context;
    if (answered(extra))
        extra->batch->waiter.ready(&extra->batch->waiter);
}

static void fill_item(struct rewrap_batch *extra, struct kt_rewrap_key *key, struct kt_wrap_item *item)
{
    size_t slot = (size_t)(key - extra->keys) - extra->round;
    const struct kt_cmk *cmk = extra->step == STEP_UNWRAP ? key->from : key->to;
    *item = (struct kt_wrap_item){.master_key = kt_span_of(cmk->master_key.data, cmk->master_key.nbytes),
                                  .dek = extra->deks + slot * KT_DEK_NBYTES};
    if (extra->step == STEP_UNWRAP) {
        item->wrapped = key->key.key_material;
    } else if (extra->step == STEP_WRAP) {
        item->made = extra->made.data + extra->made.nbytes;
        item->made_capacity = (uint32_t)cmk->strategy->wrapped_nbytes_max;
        extra->made.nbytes += item->made_capacity;
    } else {
        item->wrapped = key->made;
        item->dek = extra->again + slot * KT_DEK_NBYTES;
    }
}

/* Puts the round's items of one CMK side by side, as one group. */
static enum kt_status add_group(struct rewrap_batch *extra, struct kt_cmk *cmk, size_t *groups)
{
    size_t first = extra->items_count;
    for (size_t i = extra->round; i < extra->round_end; i++) {
        struct kt_rewrap_key *key = &extra->keys[i];
        struct kt_cmk *own = extra->step == STEP_UNWRAP ? key->from : key->to;
        if (own != cmk || key->status != KT_OK)
            continue;
        extra->item_keys[extra->items_count] = key;
        fill_item(extra, key, &extra->items[extra->items_count++]);
    }
    if (extra->items_count == first)
        return KT_OK;
    if (*groups == extra->groups_capacity) {
        struct kt_wrap_batch *more = realloc(extra->groups, (*groups + 8) * sizeof *more);
        if (!more)
            return KT_E_NOMEM;
        extra->groups = more;
        extra->groups_capacity += 8;
    }
    extra->groups[(*groups)++] = (struct kt_wrap_batch){.items = extra->items + first,
                                                        .count = extra->items_count - first,
                                                        .provider = cmk->provider,
                                                        .done = group_done,
                                                        .context = extra};
    return KT_OK;
}

static const struct kt_strategy *strategy_of(struct rewrap_batch *extra, const struct kt_wrap_batch *group)
{
    const struct kt_rewrap_key *key = extra->item_keys[group->items - extra->items];
    return extra->step == STEP_UNWRAP ? key->from->strategy : key->to->strategy;
}

/* The round's keys, grouped by the CMK that the step speaks to. */
static enum kt_status group_items(const struct kt_rewrap *rewrap, struct rewrap_batch *extra, size_t *groups)
{
    enum kt_status status = KT_OK;
    extra->items_count = *groups = 0;
    if (extra->step != STEP_UNWRAP && rewrap->target.provider)
        return add_group(extra, (struct kt_cmk *)&rewrap->target, groups);
    for (size_t i = 0; i < rewrap->cmks_count && status == KT_OK; i++)
        status = add_group(extra, &rewrap->cmks[i], groups);
    return status;
}

/* *parked: the answers come later. */
static enum kt_status start_step(struct kt_job *job, struct kt_worker *worker, struct rewrap_batch *extra,
                                 bool *parked)
{
    size_t groups;
    enum kt_status status = group_items(job->state, extra, &groups);
    if (status != KT_OK)
        return status;
    atomic_store(&extra->open, groups + 1);
    for (size_t i = 0; i < groups; i++) {
        struct kt_wrap_batch *group = &extra->groups[i];
        const struct kt_strategy *strategy = strategy_of(extra, group);
        bool wraps = extra->step == STEP_WRAP;
        enum kt_status started = (wraps ? strategy->wrap : strategy->unwrap)(strategy, worker->engine, group);
        for (size_t k = 0; k < group->count && started != KT_OK; k++)
            group->items[k].status = started;
        if (started != KT_OK)
            answered(extra);
    }
    *parked = !answered(extra);
    return KT_OK;
}

static enum kt_status take_answer(struct kt_job_batch *batch, struct rewrap_batch *extra,
                                  struct kt_rewrap_key *key, const struct kt_wrap_item *item)
{
    const char *reason = item->reason ? item->reason : kt_status_text(item->status);
    size_t slot = (size_t)(key - extra->keys) - extra->round;
    key->status = item->status;
    if (key->status == KT_OK && extra->step == STEP_WRAP)
        key->made = kt_span_of(item->made, item->made_nbytes);
    if (key->status == KT_OK && extra->step == STEP_PROVE &&
        CRYPTO_memcmp(extra->deks + slot * KT_DEK_NBYTES, item->dek, KT_DEK_NBYTES) != 0) {
        key->status = KT_E_KEY;
        reason = "the new wrap opened to other bytes than the old one; it was not used";
    }
    if (key->status != KT_OK)
        return fail_key(batch, key->doc, reason);
    batch->counts.keys.proven += extra->step == STEP_PROVE;
    return KT_OK;
}

static enum kt_status take_answers(struct kt_job_batch *batch, struct rewrap_batch *extra)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < extra->items_count && extra->step != STEP_NONE && status == KT_OK; i++)
        status = take_answer(batch, extra, extra->item_keys[i], &extra->items[i]);
    return status;
}

/* False: the batch has no more rounds. */
static bool next_step(const struct kt_rewrap *rewrap, struct rewrap_batch *extra)
{
    if (extra->step == STEP_UNWRAP || extra->step == STEP_WRAP) {
        extra->step++;
        return true;
    }
    kt_wipe(extra->deks, (extra->round_end - extra->round) * KT_DEK_NBYTES);
    kt_wipe(extra->again, (extra->round_end - extra->round) * KT_DEK_NBYTES);
    extra->round = extra->round_end;
    size_t left = extra->count - extra->round;
    extra->round_end = extra->round + (left < rewrap->keys_max ? left : rewrap->keys_max);
    extra->step = STEP_UNWRAP;
    return left > 0;
}

static size_t updated_nbytes(const struct kt_rewrap_key *key)
{
    struct kt_span to = kt_span_of(key->to->master_key.data, key->to->master_key.nbytes);
    return kt_key_doc_update_nbytes(&key->key, to, key->made.nbytes);
}

/* Keys that were rewrapped get their new fields; all other documents are copied. */
static enum kt_status lay_out(struct kt_job_batch *batch, struct rewrap_batch *extra)
{
    size_t total = batch->piece.nbytes, at = 0, next = 0;
    int64_t now_ms = kt_clock_utc_ms();
    for (size_t i = 0; i < extra->count; i++)
        total += updated_nbytes(&extra->keys[i]);
    enum kt_status status = kt_region_reserve(&batch->out, total);
    for (uint32_t d = 0; d < batch->docs_count && status == KT_OK; d++) {
        const struct kt_doc *doc = &batch->docs[d];
        struct kt_rewrap_key *key =
            next < extra->count && extra->keys[next].doc == d ? &extra->keys[next++] : NULL;
        if (!key || key->status != KT_OK) {
            memcpy(batch->out.data + at, batch->in.data + doc->at, doc->nbytes);
            at += doc->nbytes;
            continue;
        }
        struct kt_span to = kt_span_of(key->to->master_key.data, key->to->master_key.nbytes);
        size_t hole,
            nbytes = kt_key_doc_update(&key->key, to, key->made.nbytes, now_ms, batch->out.data + at, &hole);
        memcpy(batch->out.data + at + hole, key->made.data, key->made.nbytes);
        batch->counts.keys.rewrapped++;
        at += nbytes;
    }
    batch->result = kt_span_of(batch->out.data, at);
    return status;
}

static enum kt_status rewrap_process(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                                     bool *parked)
{
    struct rewrap_batch *extra = extra_of(job, batch);
    if (!extra)
        return kt_fail(&batch->error, KT_E_NOMEM, "locked memory ran out");
    enum kt_status status = batch->planned ? KT_OK : plan(job, batch, extra);
    while (status == KT_OK) {
        status = take_answers(batch, extra);
        if (status != KT_OK || !next_step(job->state, extra))
            break;
        status = start_step(job, worker, extra, parked);
        if (*parked)
            return status;
    }
    return status == KT_OK ? lay_out(batch, extra) : status;
}

static void rewrap_written(struct kt_job *job, const struct kt_job_batch *batch)
{
    const struct rewrap_batch *extra = batch->extra;
    (void)job;
    for (size_t i = 0; extra && i < extra->count; i++)
        extra->keys[i].from->rewrapped += extra->keys[i].status == KT_OK;
}

static bool rewrap_save(struct kt_job *job, bson_t *out)
{
    const struct kt_rewrap *rewrap = job->state;
    bson_t list;
    bool ok = BSON_APPEND_ARRAY_BEGIN(out, "cmks", &list);
    for (size_t i = 0; i < rewrap->cmks_count && ok; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        ok = BSON_APPEND_INT64(&list, key, (int64_t)rewrap->cmks[i].rewrapped);
    }
    return ok && bson_append_array_end(out, &list);
}

static bool rewrap_load(struct kt_job *job, const bson_t *doc)
{
    struct kt_rewrap *rewrap = job->state;
    bson_iter_t list, item;
    if (!bson_iter_init_find(&list, doc, "cmks") || !bson_iter_recurse(&list, &item))
        return false;
    for (size_t i = 0; i < rewrap->cmks_count && bson_iter_next(&item); i++)
        rewrap->cmks[i].rewrapped = (uint64_t)bson_iter_as_int64(&item);
    return true;
}

static enum kt_status open_target(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    const char *provider = job->options.provider;
    if (!provider)
        return job->options.master_key.bson.data
                   ? kt_fail(err, KT_E_USAGE, "--master-key needs --provider, which says whose key it is")
                   : KT_OK;
    struct kt_cmk *target = &rewrap->target;
    enum kt_status status = kt_master_key_normalise(kt_span_str(provider), job->options.master_key.bson,
                                                    &target->master_key, err);
    if (status != KT_OK)
        return status;
    struct kt_span stored = kt_span_of(target->master_key.data, target->master_key.nbytes);
    kt_master_key_describe(stored, target->name, sizeof target->name);
    return kt_rewrap_find_provider(job, kt_span_str(provider), target, err);
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
    size_t share = kt_secmem_available(job->secmem) / 2 / kt_team_batches(job->threads);
    size_t keys_max = share / (2 * KT_DEK_NBYTES);
    rewrap->keys_max = keys_max > ROUND_KEYS_MAX   ? ROUND_KEYS_MAX
                       : keys_max < ROUND_KEYS_MIN ? ROUND_KEYS_MIN
                                                   : keys_max;
    enum kt_status status = KT_OK;
    if (job->options.filter.bson.data)
        status = kt_filter_new(&rewrap->filter, job->options.filter.bson, err);
    if (status == KT_OK)
        status = open_target(job, rewrap, err);
    if (status == KT_OK)
        status = kt_rewrap_survey(job, rewrap, err);
    return status == KT_OK ? kt_rewrap_probe(job, rewrap, err) : status;
}

static void rewrap_result(struct kt_job *job)
{
    struct kt_rewrap *rewrap = job->state;
    struct kt_cmk_counts *cmks = calloc(rewrap->cmks_count ? rewrap->cmks_count : 1, sizeof *cmks);
    rewrap->result = cmks;
    if (!cmks)
        return;
    for (size_t i = 0; i < rewrap->cmks_count; i++) {
        const struct kt_cmk *cmk = &rewrap->cmks[i];
        cmks[i] = (struct kt_cmk_counts){.from = cmk->name,
                                         .to = rewrap->target.provider ? rewrap->target.name : cmk->name,
                                         .matched = cmk->matched,
                                         .rewrapped = cmk->rewrapped};
    }
    job->result.keys.cmks = cmks;
    job->result.keys.cmks_count = rewrap->cmks_count;
}

static void cmk_free(struct kt_cmk *cmk)
{
    kt_buf_free(&cmk->master_key);
    for (size_t i = 0; i < cmk->probes; i++)
        kt_buf_free(&cmk->probe[i]);
}

static void rewrap_close(struct kt_job *job)
{
    struct kt_rewrap *rewrap = job->state;
    for (size_t i = 0; i < job->team.batches_count; i++)
        extra_free(job, job->team.batches[i].extra);
    if (!rewrap)
        return;
    for (size_t i = 0; i < rewrap->cmks_count; i++)
        cmk_free(&rewrap->cmks[i]);
    cmk_free(&rewrap->target);
    free(rewrap->cmks);
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
