/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kms/loop.h"

#define LEAST_MS 0.02 /* the histogram's first step; each is 4% wider than the one before */
#define STEP 1.04

void kt_figures_request(struct kt_kms_loop *loop, const struct kt_kms_call *call, bool throttled,
                        uint64_t latency_ns)
{
    double ms = (double)latency_ns / 1e6;
    int at = ms > LEAST_MS ? (int)(log(ms / LEAST_MS) / log(STEP)) : 0;
    bool token = (int)call->op == KT_KMS_I_TOKEN;
    pthread_mutex_lock(&loop->lock);
    loop->stats.in_flight--;
    if (token) {
        loop->stats.tokens++;
    } else {
        loop->stats.requests++;
        loop->stats.retries += call->loop.faults > 0;
        loop->stats.throttled += throttled;
        loop->histogram[at < KT_HISTOGRAM ? at : KT_HISTOGRAM - 1]++;
    }
    pthread_mutex_unlock(&loop->lock);
}

void kt_figures_batched(struct kt_kms_loop *loop, uint32_t batched)
{
    pthread_mutex_lock(&loop->lock);
    if (batched > loop->stats.batched)
        loop->stats.batched = batched;
    pthread_mutex_unlock(&loop->lock);
}

void kt_figures_end(struct kt_kms_loop *loop, const struct kt_kms_call *call)
{
    pthread_mutex_lock(&loop->lock);
    loop->stats.calls++;
    loop->stats.failed += call->error.status != KT_OK;
    loop->open_calls--;
    pthread_mutex_unlock(&loop->lock);
}

static double quantile(const struct kt_kms_loop *loop, double q)
{
    double sum = 0, all = 0;
    for (int i = 0; i < KT_HISTOGRAM; i++)
        all += loop->histogram[i];
    for (int i = 0; i < KT_HISTOGRAM; i++) {
        sum += loop->histogram[i];
        if (all > 0 && sum >= q * all)
            return LEAST_MS * pow(STEP, i + 0.5);
    }
    return 0;
}

void kt_kms_stats(struct kt_kms_loop *loop, struct kt_kms_stats *stats)
{
    pthread_mutex_lock(&loop->lock);
    *stats = loop->stats;
    stats->p50_ms = quantile(loop, 0.5);
    stats->p99_ms = quantile(loop, 0.99);
    stats->queued = loop->open_calls > stats->in_flight ? loop->open_calls - stats->in_flight : 0;
    pthread_mutex_unlock(&loop->lock);
}
