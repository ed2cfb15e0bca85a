/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/rewrap_batch.h"

#include <stdlib.h>

#include "common/array.h"
#include "jobs/only.h"

enum kt_status kt_rewrap_fail_key(struct kt_job_batch *batch, uint32_t doc, const char *reason)
{
    batch->counts.keys.failed++;
    return kt_batch_fail_doc(batch, &batch->docs[doc], KT_NO_OP, "%s", reason);
}

struct kt_rewrap_batch *kt_rewrap_batch_of(struct kt_job *job, struct kt_job_batch *batch)
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

/* Made since the job began, by clients that use the target already. */
static bool is_under_target(const struct kt_rewrap *rewrap, const struct kt_key_doc *key)
{
    return rewrap->target && kt_span_equal(kt_cmk_stored(rewrap->target), key->master_key);
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
        return kt_rewrap_fail_key(batch, doc, why.message);
    if (!kt_rewrap_matches(rewrap, &key.key))
        return KT_OK;
    key.from = kt_cmks_find(&rewrap->cmks, key.key.master_key);
    if (!key.from && is_under_target(rewrap, &key.key))
        return KT_OK;
    batch->counts.keys.matched++;
    if (!key.from)
        return kt_rewrap_fail_key(batch, doc,
                                  "its CMK was not there when the job began: the key vault has changed");
    if (kt_cmk_refuses(key.from))
        return kt_rewrap_fail_key(batch, doc, key.from->why);
    key.to = key.from->to;
    key.prove = is_proven(&key);
    batch->counts.keys.sampled += key.prove;
    return add_key(own, &key);
}

enum kt_status kt_rewrap_batch_plan(struct kt_job *job, struct kt_job_batch *batch)
{
    struct kt_rewrap_batch *own = batch->extra;
    enum kt_status status = kt_job_batch_split(batch);
    own->count = own->round = own->round_end = 0;
    own->step = KT_REWRAP_NONE;
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
