/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a batch of keys: open the old wraps, make the new ones, open those again and compare. The
 * plaintext of at most keys_max DEKs of a batch is there at a time: longer batches go in rounds. A strategy
 * that answers later parks the batch; it goes on where it was. */
#include <openssl/crypto.h>

#include "common/array.h"
#include "jobs/rewrap_batch.h"

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

static bool is_asked(const struct kt_rewrap_key *key, enum kt_rewrap_ask ask)
{
    switch (ask) {
    case KT_ASK_UNWRAP_OLD:
        return !key->from->reencrypts || key->prove;
    case KT_ASK_WRAP:
        return !key->from->reencrypts;
    case KT_ASK_REWRAP:
        return key->from->reencrypts;
    case KT_ASK_UNWRAP_NEW:
        return key->prove;
    }
    return false;
}

static void fill_item(struct kt_rewrap_batch *own, const struct kt_rewrap_key *key, enum kt_rewrap_ask ask,
                      struct kt_wrap_item *item)
{
    size_t slot = (size_t)(key - own->keys) - own->round;
    *item = (struct kt_wrap_item){.master_key = kt_cmk_stored(ask == KT_ASK_UNWRAP_OLD ? key->from : key->to),
                                  .source = kt_cmk_stored(key->from),
                                  .wrapped = ask == KT_ASK_UNWRAP_NEW ? key->made : key->key.key_material,
                                  .dek = (ask == KT_ASK_UNWRAP_NEW ? own->again : own->deks) +
                                         slot * KT_DEK_NBYTES};
    if (ask == KT_ASK_WRAP || ask == KT_ASK_REWRAP) {
        item->made = own->made.data + own->made.nbytes;
        item->made_capacity = (uint32_t)key->to->strategy->wrapped_nbytes_max;
        own->made.nbytes += item->made_capacity;
    }
}

static enum kt_status add_group(struct kt_rewrap_batch *own, const struct kt_provider *provider,
                                enum kt_rewrap_ask ask)
{
    size_t first = own->items_count;
    const struct kt_strategy *strategy = NULL;
    for (size_t i = own->round; i < own->round_end; i++) {
        struct kt_rewrap_key *key = &own->keys[i];
        const struct kt_cmk *peer = ask == KT_ASK_UNWRAP_OLD ? key->from : key->to;
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
    own->groups[own->groups_count++] = (struct kt_rewrap_group){batch, strategy, ask};
    return KT_OK;
}

static enum kt_status add_groups(const struct kt_job *job, struct kt_rewrap_batch *own)
{
    enum kt_status status = KT_OK;
    own->items_count = own->groups_count = 0;
    for (size_t i = 0; i < kt_providers_count(job->providers) && status == KT_OK; i++) {
        const struct kt_provider *provider = kt_providers_at(job->providers, i);
        if (own->step == KT_REWRAP_OPEN)
            status = add_group(own, provider, KT_ASK_UNWRAP_OLD);
        else if (own->step == KT_REWRAP_PROVE)
            status = add_group(own, provider, KT_ASK_UNWRAP_NEW);
        else if ((status = add_group(own, provider, KT_ASK_WRAP)) == KT_OK)
            status = add_group(own, provider, KT_ASK_REWRAP);
    }
    return status;
}

static enum kt_status start_group(struct kt_rewrap_group *group, struct kt_engine *engine)
{
    const struct kt_strategy *strategy = group->strategy;
    switch (group->ask) {
    case KT_ASK_WRAP:
        return strategy->wrap(strategy, engine, &group->batch);
    case KT_ASK_REWRAP:
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
    return own->step == KT_REWRAP_PROVE && (status == KT_E_KEY || status == KT_E_UNAUTHENTIC);
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
    if (key->status == KT_OK && own->step == KT_REWRAP_MAKE)
        key->made = kt_span_of(item->made, item->made_nbytes);
    if (key->status == KT_OK && own->step == KT_REWRAP_PROVE &&
        CRYPTO_memcmp(own->deks + slot * KT_DEK_NBYTES, item->dek, KT_DEK_NBYTES) != 0) {
        key->status = KT_E_KEY;
        reason = "it opened to other bytes than the old one";
    }
    if (is_disproven(own, key->status))
        return disprove(batch, key, reason);
    if (kt_job_ends_with(key->status))
        return kt_fail(&batch->error, key->status, "%s", reason);
    if (key->status != KT_OK)
        return kt_rewrap_fail_key(batch, key->doc, reason);
    batch->counts.keys.proven += own->step == KT_REWRAP_PROVE;
    return KT_OK;
}

static enum kt_status take_answers(struct kt_job_batch *batch, struct kt_rewrap_batch *own)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < own->items_count && own->step != KT_REWRAP_NONE && status == KT_OK; i++)
        status = take_answer(batch, own, own->item_keys[i], &own->items[i]);
    return status;
}

/* False: the batch has no more rounds. */
static bool next_step(const struct kt_rewrap *rewrap, struct kt_rewrap_batch *own)
{
    if (own->step == KT_REWRAP_OPEN || own->step == KT_REWRAP_MAKE) {
        own->step++;
        return true;
    }
    kt_wipe(own->deks, (own->round_end - own->round) * KT_DEK_NBYTES);
    kt_wipe(own->again, (own->round_end - own->round) * KT_DEK_NBYTES);
    own->round = own->round_end;
    size_t left = own->count - own->round;
    own->round_end = own->round + (left < rewrap->keys_max ? left : rewrap->keys_max);
    own->step = KT_REWRAP_OPEN;
    return left > 0;
}

enum kt_status kt_rewrap_batch_advance(struct kt_job *job, struct kt_worker *worker,
                                       struct kt_job_batch *batch, bool *parked)
{
    struct kt_rewrap_batch *own = kt_rewrap_batch_of(job, batch);
    if (!own)
        return kt_fail(&batch->error, KT_E_NOMEM, "locked memory ran out");
    enum kt_status status = batch->planned ? KT_OK : kt_rewrap_batch_plan(job, batch);
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
