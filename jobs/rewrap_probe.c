/* SPDX-License-Identifier: Apache-2.0 */
/* What rewrap asks of the KMS before anything is written: targets made ready, every CMK tried. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "jobs/rewrap.h"

/* A dry run makes no key: a KMIP target without one stays as it was given. */
static enum kt_status make_ready(struct kt_job *job, const struct kt_rewrap *rewrap,
                                 const struct kt_cmk *given, struct kt_cmk **ready, struct kt_error *err)
{
    const struct kt_strategy *strategy = given->strategy;
    struct kt_buf resolved = {0};
    enum kt_status status = KT_OK;
    bool makes_key = given->provider->kms == KT_KMS_KMIP;
    if (strategy->resolve && given->tried == KT_OK && !(job->options.dry_run && makes_key))
        status = strategy->resolve(strategy, kt_cmk_stored(given), &resolved, err);
    struct kt_span stored =
        resolved.nbytes ? kt_span_of(resolved.data, resolved.nbytes) : kt_cmk_stored(given);
    if (status == KT_OK && kt_cmk_new(ready, &rewrap->cmks, stored) != KT_OK)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    kt_buf_free(&resolved);
    return status;
}

static enum kt_status ready_target(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    struct kt_cmk *ready;
    enum kt_status status = make_ready(job, rewrap, rewrap->target, &ready, err);
    if (status != KT_OK)
        return status;
    kt_cmk_free(rewrap->target);
    rewrap->target = ready;
    for (size_t i = 0; i < rewrap->cmks.count; i++)
        rewrap->cmks.v[i]->to = ready;
    return KT_OK;
}

static enum kt_status ready_own(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    rewrap->own = calloc(rewrap->cmks.count ? rewrap->cmks.count : 1, sizeof *rewrap->own);
    if (!rewrap->own)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < rewrap->cmks.count && status == KT_OK; i++) {
        status = make_ready(job, rewrap, rewrap->cmks.v[i], &rewrap->own[i], err);
        rewrap->cmks.v[i]->to = rewrap->own[i];
    }
    return status;
}

enum kt_status kt_rewrap_aim(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    enum kt_status status = rewrap->target ? ready_target(job, rewrap, err) : ready_own(job, rewrap, err);
    for (size_t i = 0; i < rewrap->cmks.count && status == KT_OK; i++) {
        struct kt_cmk *from = rewrap->cmks.v[i];
        const struct kt_strategy *strategy = from->to->strategy;
        from->reencrypts =
            strategy->can_rewrap &&
            strategy->can_rewrap(strategy, from->provider, kt_cmk_stored(from), kt_cmk_stored(from->to));
    }
    return status;
}

static enum kt_status ask(struct kt_job *job, const struct kt_cmk *cmk, kt_strategy_fn run,
                          struct kt_wrap_item *item)
{
    item->master_key = kt_cmk_stored(cmk);
    enum kt_status status = kt_strategy_ask(cmk, run, job->engine, item, 1);
    return status == KT_OK ? item->status : status;
}

static enum kt_status refused(struct kt_error *err, enum kt_status status, const char *what,
                              const struct kt_cmk *cmk, const char *reason)
{
    return kt_fail(err, status, "%s %s: %s", what, cmk->name, reason ? reason : kt_status_text(status));
}

static enum kt_status probe_target(struct kt_job *job, const struct kt_cmk *cmk, uint8_t *deks,
                                   struct kt_error *err)
{
    uint8_t *again = deks + KT_DEK_NBYTES;
    struct kt_buf made = {0};
    enum kt_status status = kt_buf_reserve(&made, cmk->strategy->wrapped_nbytes_max);
    if (status == KT_OK && RAND_bytes(deks, KT_DEK_NBYTES) != 1)
        status = KT_E_INTERNAL;
    struct kt_wrap_item item = {.dek = deks, .made = made.data, .made_capacity = (uint32_t)made.capacity};
    if (status == KT_OK)
        status = ask(job, cmk, cmk->strategy->wrap, &item);
    struct kt_wrap_item back = {.wrapped = kt_span_of(made.data, item.made_nbytes), .dek = again};
    if (status == KT_OK)
        status = ask(job, cmk, cmk->strategy->unwrap, &back);
    if (status == KT_OK && CRYPTO_memcmp(deks, again, KT_DEK_NBYTES) != 0)
        status = KT_E_KEY;
    kt_buf_free(&made);
    if (status == KT_OK)
        return KT_OK;
    return refused(err, status, "random bytes could not be wrapped and unwrapped with the target", cmk,
                   item.reason ? item.reason : back.reason);
}

/* ReEncrypt is a right of its own: it is asked for with a real DEK. Without it there are two requests a DEK,
 * whose rights have been tried. */
static enum kt_status probe_reencrypt(struct kt_job *job, struct kt_cmk *cmk, struct kt_error *err)
{
    const struct kt_buf *probe = &cmk->probe[cmk->opened];
    struct kt_wrap_item item = {.wrapped = kt_span_of(probe->data, probe->nbytes),
                                .source = kt_cmk_stored(cmk)};
    enum kt_status status = ask(job, cmk->to, cmk->to->strategy->try_rewrap, &item);
    if (status == KT_OK)
        return KT_OK;
    if (kt_job_ends_with(status))
        return refused(err, status, "ReEncrypt could not be tried from", cmk, item.reason);
    cmk->reencrypts = false;
    kt_job_warn(job, "%s: its %llu DEKs take a Decrypt and an Encrypt each, as ReEncrypt is refused%s: %s",
                cmk->name, (unsigned long long)cmk->keys,
                status == KT_E_DENIED ? " (rights kms:ReEncryptFrom on it, kms:ReEncryptTo on the new CMK)"
                                      : "",
                item.reason ? item.reason : kt_status_text(status));
    return KT_OK;
}

static enum kt_status probe_targets(struct kt_job *job, struct kt_rewrap *rewrap, uint8_t *deks,
                                    struct kt_error *err)
{
    enum kt_status status = rewrap->target ? probe_target(job, rewrap->target, deks, err) : KT_OK;
    for (size_t i = 0; i < rewrap->cmks.count && status == KT_OK; i++) {
        struct kt_cmk *cmk = rewrap->cmks.v[i];
        if (cmk->tried != KT_OK)
            continue;
        if (!rewrap->target)
            status = probe_target(job, cmk->to, deks, err);
        if (status == KT_OK && cmk->reencrypts)
            status = probe_reencrypt(job, cmk, err);
    }
    return status;
}

/* A CMK that cannot be used fails its own keys, each of which is listed. When that is all of them, or when
 * the KMS is not to be reached, there is nothing to begin with. */
static enum kt_status judge_sources(struct kt_job *job, const struct kt_rewrap *rewrap, struct kt_error *err)
{
    const struct kt_cmk *bad = NULL;
    size_t bad_count = 0;
    for (size_t i = 0; i < rewrap->cmks.count; i++) {
        const struct kt_cmk *cmk = rewrap->cmks.v[i];
        if (cmk->tried == KT_OK)
            continue;
        bad = cmk;
        bad_count++;
        if (kt_status_category(cmk->tried) == KT_CAT_RETRY)
            break;
        kt_job_warn(job, "%s cannot open its %llu DEKs, which will stay as they are: %s", cmk->name,
                    (unsigned long long)cmk->keys, cmk->why);
    }
    if (!bad || (bad_count < rewrap->cmks.count && kt_status_category(bad->tried) != KT_CAT_RETRY))
        return KT_OK;
    return refused(err, bad->tried, "none of the DEKs that were tried opens with", bad, bad->why);
}

enum kt_status kt_rewrap_try_sources(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    struct kt_cmks *sources = &rewrap->cmks;
    if (kt_cmks_try(&sources, 1, job->secmem, job->engine) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "locked memory ran out");
    return judge_sources(job, rewrap, err);
}

enum kt_status kt_rewrap_try_targets(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    uint8_t *deks = kt_secmem_alloc(job->secmem, 2 * KT_DEK_NBYTES);
    enum kt_status status =
        deks ? probe_targets(job, rewrap, deks, err) : kt_fail(err, KT_E_NOMEM, "locked memory ran out");
    kt_secmem_free(job->secmem, deks);
    return status;
}
