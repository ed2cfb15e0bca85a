/* SPDX-License-Identifier: Apache-2.0 */
/* What rewrap asks of the KMS before anything is written: targets made ready, every CMK tried. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "jobs/rewrap.h"

static struct kt_span stored(const struct kt_cmk *cmk)
{
    return kt_span_of(cmk->master_key.data, cmk->master_key.nbytes);
}

/* A dry run makes no key: a KMIP target without one stays as it was given. */
static enum kt_status make_ready(struct kt_job *job, const struct kt_cmk *given, struct kt_cmk *ready,
                                 struct kt_error *err)
{
    const struct kt_strategy *strategy = given->strategy;
    bool asks = strategy->resolve && !(job->options.dry_run && given->provider->kms == KT_KMS_KMIP);
    ready->provider = given->provider;
    ready->strategy = strategy;
    enum kt_status status =
        asks ? strategy->resolve(strategy, stored(given), &ready->master_key, err)
             : kt_buf_append(&ready->master_key, given->master_key.data, given->master_key.nbytes);
    if (status == KT_E_NOMEM)
        return kt_fail(err, status, "memory ran out");
    if (status == KT_OK)
        kt_master_key_describe(stored(ready), ready->name, sizeof ready->name);
    return status;
}

static enum kt_status ready_target(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    struct kt_cmk ready = {0};
    enum kt_status status = make_ready(job, &rewrap->target, &ready, err);
    kt_buf_free(&rewrap->target.master_key);
    rewrap->target = ready;
    for (size_t i = 0; i < rewrap->cmks_count; i++)
        rewrap->cmks[i].to = &rewrap->target;
    return status;
}

static enum kt_status ready_own(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    rewrap->own = calloc(rewrap->cmks_count ? rewrap->cmks_count : 1, sizeof *rewrap->own);
    if (!rewrap->own)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < rewrap->cmks_count && status == KT_OK; i++) {
        status = make_ready(job, &rewrap->cmks[i], &rewrap->own[i], err);
        rewrap->cmks[i].to = &rewrap->own[i];
    }
    return status;
}

enum kt_status kt_rewrap_aim(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    enum kt_status status =
        rewrap->target.provider ? ready_target(job, rewrap, err) : ready_own(job, rewrap, err);
    for (size_t i = 0; i < rewrap->cmks_count && status == KT_OK; i++) {
        struct kt_cmk *from = &rewrap->cmks[i];
        const struct kt_strategy *strategy = from->to->strategy;
        from->reencrypts = strategy->can_rewrap &&
                           strategy->can_rewrap(strategy, from->provider, stored(from), stored(from->to));
    }
    return status;
}

/* A strategy's answer, waited for. */
struct answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

static void answer_done(struct kt_wrap_batch *batch)
{
    struct answer *answer = batch->context;
    pthread_mutex_lock(&answer->lock);
    answer->done = true;
    pthread_cond_signal(&answer->changed);
    pthread_mutex_unlock(&answer->lock);
}

typedef enum kt_status (*strategy_fn)(const struct kt_strategy *strategy, struct kt_engine *engine,
                                      struct kt_wrap_batch *batch);

static enum kt_status ask(struct kt_job *job, const struct kt_cmk *cmk, strategy_fn run,
                          struct kt_wrap_item *item)
{
    struct answer answer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    struct kt_wrap_batch batch = {
        .items = item, .count = 1, .provider = cmk->provider, .done = answer_done, .context = &answer};
    item->master_key = stored(cmk);
    enum kt_status status = run(cmk->strategy, job->engine, &batch);
    if (status != KT_OK)
        return status;
    pthread_mutex_lock(&answer.lock);
    while (!answer.done)
        pthread_cond_wait(&answer.changed, &answer.lock);
    pthread_mutex_unlock(&answer.lock);
    return item->status;
}

/* One DEK that opens is enough: a single damaged one must not stop the others. */
static enum kt_status probe_source(struct kt_job *job, const struct kt_cmk *cmk, uint8_t *dek,
                                   struct kt_error *err)
{
    const char *reason = NULL;
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < cmk->probes; i++) {
        struct kt_wrap_item item = {.wrapped = kt_span_of(cmk->probe[i].data, cmk->probe[i].nbytes),
                                    .dek = dek};
        status = ask(job, cmk, cmk->strategy->unwrap, &item);
        if (status == KT_OK)
            return KT_OK;
        reason = item.reason;
    }
    if (status == KT_OK)
        return KT_OK;
    return kt_fail(err, status, "%s does not open the DEKs that it is said to wrap (%zu tried): %s",
                   cmk->name, cmk->probes, reason ? reason : kt_status_text(status));
}

static enum kt_status probe_target(struct kt_job *job, const struct kt_cmk *cmk, uint8_t *dek,
                                   struct kt_error *err)
{
    uint8_t *again = dek + KT_DEK_NBYTES;
    struct kt_buf made = {0};
    enum kt_status status = kt_buf_reserve(&made, cmk->strategy->wrapped_nbytes_max);
    if (status == KT_OK && RAND_bytes(dek, KT_DEK_NBYTES) != 1)
        status = KT_E_INTERNAL;
    struct kt_wrap_item item = {.dek = dek, .made = made.data, .made_capacity = (uint32_t)made.capacity};
    if (status == KT_OK)
        status = ask(job, cmk, cmk->strategy->wrap, &item);
    struct kt_wrap_item back = {.wrapped = kt_span_of(made.data, item.made_nbytes), .dek = again};
    if (status == KT_OK)
        status = ask(job, cmk, cmk->strategy->unwrap, &back);
    if (status == KT_OK && CRYPTO_memcmp(dek, again, KT_DEK_NBYTES) != 0)
        status = KT_E_KEY;
    kt_buf_free(&made);
    if (status == KT_OK)
        return KT_OK;
    const char *reason = item.reason ? item.reason : back.reason;
    return kt_fail(err, status, "the target %s was tried with random bytes and does not wrap and unwrap: %s",
                   cmk->name, reason ? reason : kt_status_text(status));
}

/* ReEncrypt is a right of its own: it is tried with a real DEK, and the result must open to the same bytes.
 */
static enum kt_status probe_reencrypt(struct kt_job *job, const struct kt_cmk *cmk, uint8_t *deks,
                                      struct kt_error *err)
{
    struct kt_buf made = {0};
    uint8_t *again = deks + KT_DEK_NBYTES;
    enum kt_status status = kt_buf_reserve(&made, cmk->to->strategy->wrapped_nbytes_max);
    struct kt_wrap_item item = {.wrapped = kt_span_of(cmk->probe[0].data, cmk->probe[0].nbytes),
                                .source = stored(cmk),
                                .made = made.data,
                                .made_capacity = (uint32_t)made.capacity};
    if (status == KT_OK)
        status = ask(job, cmk->to, cmk->to->strategy->rewrap, &item);
    struct kt_wrap_item back = {.wrapped = kt_span_of(made.data, item.made_nbytes), .dek = again};
    if (status == KT_OK)
        status = ask(job, cmk->to, cmk->to->strategy->unwrap, &back);
    kt_buf_free(&made);
    const char *reason = item.reason ? item.reason : back.reason;
    if (status != KT_OK)
        return kt_fail(err, status, "ReEncrypt from %s to %s was tried and does not work: %s", cmk->name,
                       cmk->to->name, reason ? reason : kt_status_text(status));
    return KT_OK;
}

static enum kt_status probe_all(struct kt_job *job, struct kt_rewrap *rewrap, uint8_t *deks,
                                struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < rewrap->cmks_count && status == KT_OK; i++) {
        const struct kt_cmk *cmk = &rewrap->cmks[i];
        status = probe_source(job, cmk, deks, err);
        if (status == KT_OK && !rewrap->target.provider)
            status = probe_target(job, cmk->to, deks, err);
        if (status == KT_OK && cmk->reencrypts)
            status = probe_reencrypt(job, cmk, deks, err);
    }
    if (status == KT_OK && rewrap->target.provider)
        status = probe_target(job, &rewrap->target, deks, err);
    return status;
}

enum kt_status kt_rewrap_probe(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    uint8_t *deks = kt_secmem_alloc(job->secmem, 2 * KT_DEK_NBYTES);
    enum kt_status status =
        deks ? probe_all(job, rewrap, deks, err) : kt_fail(err, KT_E_NOMEM, "locked memory ran out");
    kt_secmem_free(job->secmem, deks);
    return status;
}
