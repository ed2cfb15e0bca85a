/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a batch of keys: open the old wraps, make the new ones, open those again and compare. The
 * plaintext of at most keys_max DEKs of a batch is there at a time: longer batches go in rounds. A strategy
 * that answers later parks the batch; it goes on where it was. */
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/array.h"
#include "jobs/only.h"
#include "jobs/rewrap.h"

enum step { STEP_NONE, STEP_OPEN, STEP_MAKE, STEP_PROVE };

/* What is asked of a strategy. */
enum ask { ASK_UNWRAP_OLD, ASK_WRAP, ASK_REWRAP, ASK_UNWRAP_NEW };

struct kt_rewrap_batch {
    struct kt_rewrap_key *keys;
    size_t count, capacity;
    size_t round, round_end; /* keys in hand */
    enum step step;
    struct kt_wrap_item *items; /* of the running step, those of a group side by side */
    struct kt_rewrap_key **item_keys;
    size_t items_count;
    struct group {
        struct kt_wrap_batch batch;
        const struct kt_strategy *strategy;
        enum ask ask;
    } * groups;
    size_t groups_count, groups_capacity;
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

static struct kt_rewrap_batch *steps_of(struct kt_job *job, struct kt_job_batch *batch)
{
    const struct kt_rewrap *rewrap = job->state;
    if (batch->extra)
        return batch->extra;
    struct kt_rewrap_batch *own = calloc(1, sizeof *own);
    if (!own)
        return NULL;
    own->batch = batch;
    own->items = calloc(2 * rewrap->keys_max, sizeof *own->items);
    own->item_keys = calloc(2 * rewrap->keys_max, sizeof *own->item_keys);
    own->deks = kt_secmem_alloc(job->secmem, 2 * rewrap->keys_max * KT_DEK_NBYTES);
    own->again = own->deks ? own->deks + rewrap->keys_max * KT_DEK_NBYTES : NULL;
    batch->extra = own; /* freed with the job, whole or not */
    return own->items && own->item_keys && own->deks ? own : NULL;
}

void kt_rewrap_batch_free(struct kt_job *job, struct kt_job_batch *batch)
{
    struct kt_rewrap_batch *own = batch->extra;
    if (!own)
        return;
    kt_secmem_free(job->secmem, own->deks);
    kt_buf_free(&own->made);
    free(own->keys);
    free(own->items);
    free(own->item_keys);
    free(own->groups);
    free(own);
    batch->extra = NULL;
}

const struct kt_rewrap_key *kt_rewrap_batch_keys(const struct kt_job_batch *batch, size_t *count)
{
    const struct kt_rewrap_batch *own = batch->extra;
    *count = own ? own->count : 0;
    return own ? own->keys : NULL;
}

static enum kt_status add_key(struct kt_rewrap_batch *own, const struct kt_rewrap_key *key)
{
    if (kt_array_reserve(&own->keys, &own->capacity, own->count + 1, sizeof *own->keys) != KT_OK)
        return KT_E_NOMEM;
    own->keys[own->count++] = *key;
    return KT_OK;
}

/* A proof is free where no request is needed to open old and new; else a sample is proven. */
static bool is_proven(struct kt_rewrap_key *key)
{
    const struct kt_cmk *to = key->to;
    bool asks = to->strategy->unwrap_asks && to->strategy->unwrap_asks(to->strategy, kt_cmk_stored(to));
    if (!asks && !key->from->reencrypts)
        return true;
    return kt_rewrap_in_sample(atomic_fetch_add(&key->from->seen, 1));
}

static enum kt_status plan_key(struct kt_job *job, struct kt_job_batch *batch, struct kt_rewrap_batch *own,
                               uint32_t doc)
{
    struct kt_rewrap *rewrap = job->state;
    struct kt_error why;
    struct kt_rewrap_key key = {.doc = doc};
    struct kt_span bytes = kt_span_of(batch->in.data + batch->docs[doc].at, batch->docs[doc].nbytes);
    if (job->only && !kt_only_has(job->only, batch->ns->name, batch->in.data, &batch->docs[doc]))
        return KT_OK;
    if (kt_key_doc_parse(bytes, &key.key, &why) != KT_OK)
        return fail_key(batch, doc, why.message);
    if (!kt_rewrap_matches(rewrap, &key.key))
        return KT_OK;
    batch->counts.keys.matched++;
    key.from = kt_cmks_find(&rewrap->cmks, key.key.master_key);
    if (!key.from)
        return fail_key(batch, doc, "its CMK was not there when the job began: the key vault has changed");
    if (kt_cmk_refuses(key.from))
        return fail_key(batch, doc, key.from->why);
    key.to = key.from->to;
    key.prove = is_proven(&key);
    batch->counts.keys.sampled += key.prove;
    return add_key(own, &key);
}

static enum kt_status plan(struct kt_job *job, struct kt_job_batch *batch, struct kt_rewrap_batch *own)
{
    enum kt_status status = kt_job_batch_split(batch);
    own->count = own->round = own->round_end = 0;
    own->step = STEP_NONE;
    own->made.nbytes = 0;
    for (uint32_t i = 0; i < batch->docs_count && status == KT_OK; i++)
        status = plan_key(job, batch, own, i);
    size_t room = 0;
    for (size_t i = 0; i < own->count; i++)
        room += own->keys[i].to->strategy->wrapped_nbytes_max;
    batch->counts.keys.read = batch->docs_count;
    batch->planned = true;
    return status == KT_OK ? kt_buf_reserve(&own->made, room) : status;
}

/* The last answer of a step: the worker goes on by itself when it is still there, else the batch is queued.
 */
static bool answered(struct kt_rewrap_batch *own)
{
    return atomic_fetch_sub(&own->open, 1) == 1;
}

static void group_done(struct kt_wrap_batch *group)
{
    struct kt_rewrap_batch *own = group->context;
    if (answered(own))
        own->batch->waiter.ready(&own->batch->waiter);
}

static bool is_asked(const struct kt_rewrap_key *key, enum ask ask)
{
    switch (ask) {
    case ASK_UNWRAP_OLD:
        return !key->from->reencrypts || key->prove;
    case ASK_WRAP:
        return !key->from->reencrypts;
    case ASK_REWRAP:
        return key->from->reencrypts;
    case ASK_UNWRAP_NEW:
        return key->prove;
    }
    return false;
}

static void fill_item(struct kt_rewrap_batch *own, const struct kt_rewrap_key *key, enum ask ask,
                      struct kt_wrap_item *item)
{
    size_t slot = (size_t)(key - own->keys) - own->round;
    *item =
        (struct kt_wrap_item){.master_key = kt_cmk_stored(ask == ASK_UNWRAP_OLD ? key->from : key->to),
                              .source = kt_cmk_stored(key->from),
                              .wrapped = ask == ASK_UNWRAP_NEW ? key->made : key->key.key_material,
                              .dek = (ask == ASK_UNWRAP_NEW ? own->again : own->deks) + slot * KT_DEK_NBYTES};
    if (ask == ASK_WRAP || ask == ASK_REWRAP) {
        item->made = own->made.data + own->made.nbytes;
        item->made_capacity = (uint32_t)key->to->strategy->wrapped_nbytes_max;
        own->made.nbytes += item->made_capacity;
    }
}

static enum kt_status add_group(struct kt_rewrap_batch *own, const struct kt_provider *provider, enum ask ask)
{
    size_t first = own->items_count;
    const struct kt_strategy *strategy = NULL;
    for (size_t i = own->round; i < own->round_end; i++) {
        struct kt_rewrap_key *key = &own->keys[i];
        const struct kt_cmk *peer = ask == ASK_UNWRAP_OLD ? key->from : key->to;
        if (peer->provider != provider || key->status != KT_OK || !is_asked(key, ask))
            continue;
        strategy = peer->strategy;
        own->item_keys[own->items_count] = key;
        fill_item(own, key, ask, &own->items[own->items_count++]);
    }
    if (own->items_count == first)
        return KT_OK;
    if (kt_array_reserve(&own->groups, &own->groups_capacity, own->groups_count + 1, sizeof *own->groups) !=
        KT_OK)
        return KT_E_NOMEM;
    struct kt_wrap_batch batch = {.items = own->items + first,
                                  .count = own->items_count - first,
                                  .provider = provider,
                                  .done = group_done,
                                  .context = own};
    own->groups[own->groups_count++] = (struct group){batch, strategy, ask};
    return KT_OK;
}

static enum kt_status add_groups(const struct kt_job *job, struct kt_rewrap_batch *own)
{
    enum kt_status status = KT_OK;
    own->items_count = own->groups_count = 0;
    for (size_t i = 0; i < kt_providers_count(job->providers) && status == KT_OK; i++) {
        const struct kt_provider *provider = kt_providers_at(job->providers, i);
        if (own->step == STEP_OPEN)
            status = add_group(own, provider, ASK_UNWRAP_OLD);
        else if (own->step == STEP_PROVE)
            status = add_group(own, provider, ASK_UNWRAP_NEW);
        else if ((status = add_group(own, provider, ASK_WRAP)) == KT_OK)
            status = add_group(own, provider, ASK_REWRAP);
    }
    return status;
}

static enum kt_status start_group(struct group *group, struct kt_engine *engine)
{
    const struct kt_strategy *strategy = group->strategy;
    switch (group->ask) {
    case ASK_WRAP:
        return strategy->wrap(strategy, engine, &group->batch);
    case ASK_REWRAP:
        return strategy->rewrap(strategy, engine, &group->batch);
    default:
        return strategy->unwrap(strategy, engine, &group->batch);
    }
}

/* *parked: the answers come later. */
static enum kt_status start_step(struct kt_job *job, struct kt_worker *worker, struct kt_rewrap_batch *own,
                                 bool *parked)
{
    enum kt_status status = add_groups(job, own);
    if (status != KT_OK)
        return status;
    atomic_store(&own->open, own->groups_count + 1);
    for (size_t i = 0; i < own->groups_count; i++) {
        struct kt_wrap_batch *batch = &own->groups[i].batch;
        enum kt_status started = start_group(&own->groups[i], worker->engine);
        for (size_t k = 0; k < batch->count && started != KT_OK; k++)
            batch->items[k].status = started;
        if (started != KT_OK)
            answered(own);
    }
    *parked = !answered(own);
    return KT_OK;
}

/* Where only a sample is proven, wraps that nobody looks at come the same way: none of them is written. */
static bool is_disproven(const struct kt_rewrap_batch *own, enum kt_status status)
{
    return own->step == STEP_PROVE && (status == KT_E_KEY || status == KT_E_UNAUTHENTIC);
}

static enum kt_status disprove(struct kt_job_batch *batch, const struct kt_rewrap_key *key,
                               const char *reason)
{
    char id[80];
    kt_doc_id_text(batch->in.data, &batch->docs[key->doc], id, sizeof id);
    return kt_fail(
        &batch->error, KT_E_NET,
        "the new wrap of DEK %s by %s is wrong: %s; neither it nor what was made beside it is written. "
        "Find out what is wrong with that CMK first",
        id, key->to->name, reason);
}

static enum kt_status take_answer(struct kt_job_batch *batch, struct kt_rewrap_batch *own,
                                  struct kt_rewrap_key *key, const struct kt_wrap_item *item)
{
    const char *reason = item->reason ? item->reason : kt_status_text(item->status);
    size_t slot = (size_t)(key - own->keys) - own->round;
    key->status = item->status;
    if (key->status == KT_OK && own->step == STEP_MAKE)
        key->made = kt_span_of(item->made, item->made_nbytes);
    if (key->status == KT_OK && own->step == STEP_PROVE &&
        CRYPTO_memcmp(own->deks + slot * KT_DEK_NBYTES, item->dek, KT_DEK_NBYTES) != 0) {
        key->status = KT_E_KEY;
        reason = "it opened to other bytes than the old one";
    }
    if (is_disproven(own, key->status))
        return disprove(batch, key, reason);
    if (kt_job_ends_with(key->status))
        return kt_fail(&batch->error, key->status, "%s", reason);
    if (key->status != KT_OK)
        return fail_key(batch, key->doc, reason);
    batch->counts.keys.proven += own->step == STEP_PROVE;
    return KT_OK;
}

static enum kt_status take_answers(struct kt_job_batch *batch, struct kt_rewrap_batch *own)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < own->items_count && own->step != STEP_NONE && status == KT_OK; i++)
        status = take_answer(batch, own, own->item_keys[i], &own->items[i]);
    return status;
}

/* False: the batch has no more rounds. */
static bool next_step(const struct kt_rewrap *rewrap, struct kt_rewrap_batch *own)
{
    if (own->step == STEP_OPEN || own->step == STEP_MAKE) {
        own->step++;
        return true;
    }
    kt_wipe(own->deks, (own->round_end - own->round) * KT_DEK_NBYTES);
    kt_wipe(own->again, (own->round_end - own->round) * KT_DEK_NBYTES);
    own->round = own->round_end;
    size_t left = own->count - own->round;
    own->round_end = own->round + (left < rewrap->keys_max ? left : rewrap->keys_max);
    own->step = STEP_OPEN;
    return left > 0;
}

enum kt_status kt_rewrap_batch_advance(struct kt_job *job, struct kt_worker *worker,
                                       struct kt_job_batch *batch, bool *parked)
{
    struct kt_rewrap_batch *own = steps_of(job, batch);
    if (!own)
        return kt_fail(&batch->error, KT_E_NOMEM, "locked memory ran out");
    enum kt_status status = batch->planned ? KT_OK : plan(job, batch, own);
    if (job->options.dry_run || job->doomed)
        return status;
    while (status == KT_OK) {
        status = take_answers(batch, own);
        if (status != KT_OK || !next_step(job->state, own))
            break;
        status = start_step(job, worker, own, parked);
        if (*parked)
            break;
    }
    return status;
}
