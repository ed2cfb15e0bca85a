/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/bench_kms.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "common/clock.h"
#include "jobs/kms_plan.h"

#define DEKS_USUAL 1000

struct bench {
    const struct kt_bench_kms_options *options;
    struct kt_secmem *secmem;
    struct kt_engine *engine;
    struct kt_providers *providers;
    struct kt_kms_strategies *kms;
    struct kt_strategies strategies;
    struct kt_cmks cmks; /* for kt_cmk_new alone */
    struct kt_cmk *cmk;
    size_t deks;
    uint8_t *plain, *again;
    struct kt_buf made;
    struct kt_wrap_item *items;
};

static enum kt_status open_ground(struct bench *bench, struct kt_error *err)
{
    const struct kt_bench_kms_options *o = bench->options;
    struct kt_engine_options engine = {.backend = o->backend, .cpu_disable = o->cpu_disable, .log = o->log};
    struct kt_kms_options kms = {.log = o->log,
                                 .concurrency = o->kms_concurrency,
                                 .rate = o->kms_rate,
                                 .credentials = o->credentials,
                                 .credentials_context = o->credentials_context};
    enum kt_status status = kt_secmem_open(&bench->secmem, err);
    if (status == KT_OK)
        status = kt_engine_open(&bench->engine, &engine, err);
    if (status == KT_OK)
        status = kt_providers_new(&bench->providers, o->kms_providers.bson, o->tls_options.bson,
                                  o->kms_providers.name, bench->secmem, bench->engine, err);
    kms.secmem = bench->secmem;
    if (status == KT_OK)
        status = kt_kms_strategies_new(&bench->kms, bench->providers, &kms, err);
    if (status == KT_OK)
        bench->strategies = kt_kms_strategies_all(bench->kms);
    bench->cmks.providers = bench->providers;
    bench->cmks.strategies = &bench->strategies;
    return status;
}

static enum kt_status make_cmk(struct bench *bench, struct kt_span stored, struct kt_error *err)
{
    kt_cmk_free(bench->cmk);
    bench->cmk = NULL;
    if (kt_cmk_new(&bench->cmk, &bench->cmks, stored) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (!bench->cmk->strategy)
        return kt_fail(err, KT_E_NO_PROVIDER, "%s lacks provider \"%s\"", bench->options->kms_providers.name,
                       bench->options->provider);
    return KT_OK;
}

static enum kt_status open_target(struct bench *bench, struct kt_error *err)
{
    const struct kt_bench_kms_options *o = bench->options;
    struct kt_buf stored = {0}, resolved = {0};
    enum kt_status status =
        kt_master_key_normalise(kt_span_str(o->provider), o->master_key.bson, &stored, err);
    if (status == KT_OK)
        status = make_cmk(bench, kt_span_of(stored.data, stored.nbytes), err);
    const struct kt_strategy *strategy = status == KT_OK ? bench->cmk->strategy : NULL;
    if (strategy && strategy->resolve)
        status = strategy->resolve(strategy, kt_cmk_stored(bench->cmk), &resolved, err);
    if (status == KT_OK && resolved.nbytes)
        status = make_cmk(bench, kt_span_of(resolved.data, resolved.nbytes), err);
    kt_buf_free(&stored);
    kt_buf_free(&resolved);
    return status;
}

static enum kt_status reserve(struct bench *bench, struct kt_error *err)
{
    size_t each = bench->cmk->strategy->wrapped_nbytes_max;
    bench->plain = kt_secmem_alloc(bench->secmem, 2 * bench->deks * KT_DEK_NBYTES);
    if (!bench->plain)
        return kt_fail(err, KT_E_NOMEM, "locked memory ran out; take fewer --keys");
    bench->again = bench->plain + bench->deks * KT_DEK_NBYTES;
    bench->items = calloc(bench->deks, sizeof *bench->items);
    if (!bench->items || kt_buf_reserve(&bench->made, bench->deks * each) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (RAND_bytes(bench->plain, (int)(bench->deks * KT_DEK_NBYTES)) != 1)
        return kt_fail(err, KT_E_INTERNAL, "no random bytes");
    return KT_OK;
}

static void fail(struct kt_bench_kms_result *result, const struct kt_wrap_item *item)
{
    if (result->failed++ == 0)
        snprintf(result->why, sizeof result->why, "%s",
                 item->reason            ? item->reason
                 : item->status == KT_OK ? "a DEK came back as other bytes"
                                         : kt_status_text(item->status));
}

static enum kt_status wrap_all(struct bench *bench, struct kt_bench_kms_result *result)
{
    const struct kt_cmk *cmk = bench->cmk;
    size_t each = cmk->strategy->wrapped_nbytes_max;
    for (size_t i = 0; i < bench->deks; i++)
        bench->items[i] = (struct kt_wrap_item){.master_key = kt_cmk_stored(cmk),
                                                .dek = bench->plain + i * KT_DEK_NBYTES,
                                                .made = bench->made.data + i * each,
                                                .made_capacity = (uint32_t)each};
    uint64_t begun = kt_clock_ns();
    enum kt_status status =
        kt_strategy_ask(cmk, cmk->strategy->wrap, bench->engine, bench->items, bench->deks);
    result->wrap_seconds = (double)(kt_clock_ns() - begun) / 1e9;
    return status;
}

/* Those that were wrapped; they move to the front. */
static enum kt_status unwrap_all(struct bench *bench, struct kt_bench_kms_result *result)
{
    const struct kt_cmk *cmk = bench->cmk;
    size_t count = 0;
    for (size_t i = 0; i < bench->deks; i++) {
        struct kt_wrap_item item = bench->items[i];
        if (item.status != KT_OK) {
            fail(result, &item);
            continue;
        }
        memmove(bench->plain + count * KT_DEK_NBYTES, bench->plain + i * KT_DEK_NBYTES, KT_DEK_NBYTES);
        bench->items[count] = (struct kt_wrap_item){.master_key = kt_cmk_stored(cmk),
                                                    .wrapped = kt_span_of(item.made, item.made_nbytes),
                                                    .dek = bench->again + count * KT_DEK_NBYTES};
        count++;
    }
    if (count == 0)
        return KT_OK;
    uint64_t begun = kt_clock_ns();
    enum kt_status status = kt_strategy_ask(cmk, cmk->strategy->unwrap, bench->engine, bench->items, count);
    result->unwrap_seconds = (double)(kt_clock_ns() - begun) / 1e9;
    for (size_t i = 0; i < count && status == KT_OK; i++) {
        const uint8_t *plain = bench->plain + i * KT_DEK_NBYTES;
        if (bench->items[i].status != KT_OK || CRYPTO_memcmp(plain, bench->items[i].dek, KT_DEK_NBYTES) != 0)
            fail(result, &bench->items[i]);
    }
    return status;
}

static void fill(const struct bench *bench, struct kt_bench_kms_result *result)
{
    snprintf(result->cmk, sizeof result->cmk, "%s", bench->cmk->name);
    result->has_kms = kt_kms_counted(bench->kms, &result->kms);
}

static void close_bench(struct bench *bench)
{
    kt_kms_strategies_stop(bench->kms);
    kt_secmem_free(bench->secmem, bench->plain);
    kt_buf_free(&bench->made);
    free(bench->items);
    kt_cmk_free(bench->cmk);
    kt_kms_strategies_free(bench->kms);
    kt_providers_free(bench->providers);
    kt_engine_close(bench->engine);
    kt_secmem_close(bench->secmem);
}

enum kt_status kt_bench_kms(const struct kt_bench_kms_options *options, struct kt_bench_kms_result *result,
                            struct kt_error *err)
{
    struct bench bench = {.options = options, .deks = options->deks ? options->deks : DEKS_USUAL};
    *result = (struct kt_bench_kms_result){.deks = bench.deks};
    if (bench.deks > KT_BENCH_KMS_MAX)
        return kt_fail(err, KT_E_USAGE, "at most %d DEKs at a time", KT_BENCH_KMS_MAX);
    enum kt_status status = open_ground(&bench, err);
    if (status == KT_OK)
        status = open_target(&bench, err);
    if (status == KT_OK)
        status = reserve(&bench, err);
    if (status == KT_OK &&
        ((status = wrap_all(&bench, result)) != KT_OK || (status = unwrap_all(&bench, result)) != KT_OK))
        kt_fail(err, status, "%s: %s", bench.cmk->name, kt_status_text(status));
    if (status == KT_OK)
        fill(&bench, result);
    close_bench(&bench);
    return status;
}
