/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/strategy_kms.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/latch.h"

/* Different sentences kept for failed items; a KMS says the same few for thousands of keys. */
#define REASONS_MAX 256

struct account_strategy {
    struct kt_strategy shown;
    struct kt_kms_account account;
    struct kt_kms_strategies *all;
};

struct kt_kms_strategies {
    struct account_strategy *accounts;
    size_t count;
    struct kt_kms_loop *loop;
    pthread_mutex_t lock;
    char *reasons[REASONS_MAX];
    size_t reasons_count;
};

/* The calls of one batch. */
struct run {
    struct kt_wrap_batch *batch;
    struct kt_kms_strategies *all;
    _Atomic size_t open;
    struct kt_kms_call calls[];
};

/* The sentence as one that lives as long as the strategies. */
static const char *keep_reason(struct kt_kms_strategies *all, const struct kt_error *err)
{
    const char *kept = kt_status_text(err->status);
    pthread_mutex_lock(&all->lock);
    size_t i = 0;
    while (i < all->reasons_count && strcmp(all->reasons[i], err->message) != 0)
        i++;
    if (i == all->reasons_count && i < REASONS_MAX && (all->reasons[i] = strdup(err->message)))
        all->reasons_count++;
    if (i < all->reasons_count)
        kept = all->reasons[i];
    pthread_mutex_unlock(&all->lock);
    return kept;
}

static void one_less(struct run *run)
{
    if (atomic_fetch_sub(&run->open, 1) != 1)
        return;
    struct kt_wrap_batch *batch = run->batch;
    free(run);
    batch->done(batch);
}

static void settle(struct run *run, struct kt_kms_call *call)
{
    struct kt_wrap_item *item = &run->batch->items[call - run->calls];
    item->status = call->error.status;
    item->reason = NULL;
    item->away = item->status == KT_E_NET && call->reason == KT_KMS_R_NETWORK;
    if (item->status != KT_OK)
        item->reason = keep_reason(run->all, &call->error);
    else if (call->op != KT_KMS_UNWRAP)
        item->made_nbytes = call->out_nbytes;
}

static void call_done(struct kt_kms_call *call)
{
    struct run *run = call->context;
    settle(run, call);
    one_less(run);
}

static void fill_call(struct kt_kms_call *call, enum kt_kms_op op, const struct kt_kms_account *account,
                      const struct kt_wrap_item *item)
{
    bool to_dek = op == KT_KMS_UNWRAP;
    *call =
        (struct kt_kms_call){.op = op,
                             .account = account,
                             .master_key = item->master_key,
                             .source = item->source,
                             .in = op == KT_KMS_WRAP ? kt_span_of(item->dek, KT_DEK_NBYTES) : item->wrapped,
                             .out = to_dek ? item->dek : item->made,
                             .out_capacity = to_dek ? KT_DEK_NBYTES : item->made_capacity,
                             .done = call_done};
}

static enum kt_status start(const struct kt_strategy *strategy, struct kt_wrap_batch *batch,
                            enum kt_kms_op op)
{
    struct account_strategy *own = strategy->state;
    struct run *run = calloc(1, sizeof *run + batch->count * sizeof *run->calls);
    if (!run)
        return KT_E_NOMEM;
    run->batch = batch;
    run->all = own->all;
    atomic_init(&run->open, batch->count + 1);
    for (size_t i = 0; i < batch->count; i++) {
        struct kt_kms_call *call = &run->calls[i];
        fill_call(call, op, &own->account, &batch->items[i]);
        call->context = run;
        enum kt_status status = kt_kms_submit(own->all->loop, call);
        if (status != KT_OK) {
            kt_fail(&call->error, status, "%s: the call could not be queued", own->account.id);
            call_done(call);
        }
    }
    one_less(run);
    return KT_OK;
}

static enum kt_status kms_unwrap(const struct kt_strategy *strategy, struct kt_engine *engine,
                                 struct kt_wrap_batch *batch)
{
    (void)engine;
    return start(strategy, batch, KT_KMS_UNWRAP);
}

static enum kt_status kms_wrap(const struct kt_strategy *strategy, struct kt_engine *engine,
                               struct kt_wrap_batch *batch)
{
    (void)engine;
    return start(strategy, batch, KT_KMS_WRAP);
}

static enum kt_status kms_rewrap(const struct kt_strategy *strategy, struct kt_engine *engine,
                                 struct kt_wrap_batch *batch)
{
    (void)engine;
    return start(strategy, batch, KT_KMS_REWRAP);
}

static enum kt_status kms_try_rewrap(const struct kt_strategy *strategy, struct kt_engine *engine,
                                     struct kt_wrap_batch *batch)
{
    (void)engine;
    return start(strategy, batch, KT_KMS_REWRAP_DRYRUN);
}

static bool kms_can_rewrap(const struct kt_strategy *strategy, const struct kt_provider *from,
                           struct kt_span from_master_key, struct kt_span to_master_key)
{
    const struct account_strategy *own = strategy->state;
    for (size_t i = 0; i < own->all->count; i++) {
        const struct kt_kms_account *account = &own->all->accounts[i].account;
        if (strcmp(account->id, from->id) == 0)
            return kt_kms_can_rewrap(account, from_master_key, &own->account, to_master_key);
    }
    return false;
}

static void latch_done(struct kt_kms_call *call)
{
    kt_latch_down(call->context);
}

static enum kt_status kms_resolve(const struct kt_strategy *strategy, struct kt_span master_key,
                                  struct kt_buf *out, struct kt_error *err)
{
    const struct account_strategy *own = strategy->state;
    struct kt_latch answer = KT_LATCH(1);
    if (kt_buf_reserve(out, KT_KMS_OUT_MAX) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    struct kt_kms_call call = {.op = KT_KMS_RESOLVE,
                               .account = &own->account,
                               .master_key = master_key,
                               .out = out->data + out->nbytes,
                               .out_capacity = KT_KMS_OUT_MAX,
                               .done = latch_done,
                               .context = &answer};
    enum kt_status status = kt_kms_submit(own->all->loop, &call);
    if (status != KT_OK)
        return kt_fail(err, status, "%s: the call could not be queued", own->account.id);
    kt_latch_wait(&answer);
    if (call.error.status != KT_OK)
        return kt_fail(err, call.error.status, "%s", call.error.message);
    out->nbytes += call.out_nbytes;
    return KT_OK;
}

static bool kms_unwrap_asks(const struct kt_strategy *strategy, struct kt_span master_key)
{
    const struct account_strategy *own = strategy->state;
    return kt_kms_cost(own->account.kms, KT_KMS_UNWRAP, master_key).each > 0;
}

static bool kms_service(const struct kt_strategy *strategy, struct kt_span master_key, char *out,
                        size_t nbytes)
{
    const struct account_strategy *own = strategy->state;
    return kt_kms_service(&own->account, master_key, out, nbytes);
}

static void init_account(struct kt_kms_strategies *all, struct account_strategy *own,
                         const struct kt_provider *provider)
{
    own->all = all;
    own->account = (struct kt_kms_account){.id = provider->id,
                                           .kms = provider->kms,
                                           .credentials = provider->credentials,
                                           .tls_options = provider->tls_options};
    own->shown = (struct kt_strategy){.name = provider->id,
                                      .wrapped_nbytes_max = KT_KMS_OUT_MAX,
                                      .unwrap = kms_unwrap,
                                      .wrap = kms_wrap,
                                      .state = own,
                                      .rewrap = kms_rewrap,
                                      .try_rewrap = kms_try_rewrap,
                                      .can_rewrap = kms_can_rewrap,
                                      .resolve = kms_resolve,
                                      .service = kms_service,
                                      .unwrap_asks = kms_unwrap_asks};
}

enum kt_status kt_kms_strategies_new(struct kt_kms_strategies **out, const struct kt_providers *providers,
                                     const struct kt_kms_options *options, struct kt_error *err)
{
    *out = NULL;
    size_t count = kt_providers_count(providers);
    struct kt_kms_strategies *all = calloc(1, sizeof *all);
    if (!all || !(all->accounts = calloc(count ? count : 1, sizeof *all->accounts))) {
        free(all);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    pthread_mutex_init(&all->lock, NULL);
    for (size_t i = 0; i < count; i++) {
        const struct kt_provider *provider = kt_providers_at(providers, i);
        if (provider->kms != KT_KMS_LOCAL)
            init_account(all, &all->accounts[all->count++], provider);
    }
    enum kt_status status = all->count ? kt_kms_open(&all->loop, options, err) : KT_OK;
    if (status != KT_OK) {
        kt_kms_strategies_free(all);
        return status;
    }
    *out = all;
    return KT_OK;
}

void kt_kms_strategies_stop(struct kt_kms_strategies *all)
{
    if (!all)
        return;
    kt_kms_close(all->loop);
    all->loop = NULL;
}

void kt_kms_strategies_free(struct kt_kms_strategies *all)
{
    if (!all)
        return;
    kt_kms_strategies_stop(all);
    for (size_t i = 0; i < all->reasons_count; i++)
        free(all->reasons[i]);
    pthread_mutex_destroy(&all->lock);
    free(all->accounts);
    free(all);
}

static const struct kt_strategy *find(void *context, const struct kt_provider *provider)
{
    struct kt_kms_strategies *all = context;
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->accounts[i].account.id, provider->id) == 0)
            return &all->accounts[i].shown;
    }
    return kt_strategy_for(provider->kms);
}

struct kt_strategies kt_kms_strategies_all(struct kt_kms_strategies *all)
{
    return (struct kt_strategies){.find = find, .context = all};
}

void kt_kms_strategies_cancel(struct kt_kms_strategies *all)
{
    if (all && all->loop)
        kt_kms_cancel_all(all->loop);
}

bool kt_kms_strategies_stats(struct kt_kms_strategies *all, struct kt_kms_stats *stats)
{
    if (!all->loop)
        return false;
    kt_kms_stats(all->loop, stats);
    return true;
}
