/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_clock.h"

struct worker {
    const struct bench_peer *peer;
    struct bench_load *load;
    pthread_barrier_t *barrier;
    void *context;
    uint64_t passes, took_ns;
    bool good;
};

static void *work(void *p)
{
    struct worker *w = p;
    if (w->barrier)
        pthread_barrier_wait(w->barrier);
    uint64_t from = w->barrier ? bench_now_ns() : bench_cpu_ns();
    for (uint64_t i = 0; i < w->passes && w->good; i++)
        w->good = w->peer->pass(w->context);
    w->took_ns = (w->barrier ? bench_now_ns() : bench_cpu_ns()) - from;
    return NULL;
}

/* One trial on all threads; returns the nanoseconds of the slowest, or 0 when a pass failed. */
static double trial(struct worker *workers, unsigned threads, uint64_t passes)
{
    pthread_barrier_t barrier;
    pthread_t ids[64];
    for (unsigned t = 0; t < threads; t++) {
        workers[t].passes = passes;
        workers[t].barrier = threads > 1 ? &barrier : NULL;
    }
    if (threads == 1) {
        work(&workers[0]);
        return workers[0].good ? (double)workers[0].took_ns : 0;
    }
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned t = 0; t < threads; t++)
        if (pthread_create(&ids[t], NULL, work, &workers[t]) != 0)
            abort(); /* the others wait at the barrier for ever */
    double slowest = 0;
    for (unsigned t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        slowest = (double)workers[t].took_ns > slowest ? (double)workers[t].took_ns : slowest;
        if (!workers[t].good)
            slowest = 0;
    }
    pthread_barrier_destroy(&barrier);
    return slowest;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Starts the peer on every thread's load and verifies one pass. Returns false when it cannot do this load. */
static bool set_up(const struct bench_peer *peer, struct bench_load *const *loads, unsigned threads,
                   struct worker *workers, struct bench_result *result)
{
    const struct bench_load *l = loads[0];
    int size = l->size < 0 ? 100 : l->size;
    if (!(peer->ops >> l->op & 1) || (peer->max_size && size > peer->max_size))
        return false;
    result->verified = true;
    for (unsigned t = 0; t < threads; t++) {
        workers[t] = (struct worker){.peer = peer, .load = loads[t], .good = true};
        workers[t].context = peer->start(peer, loads[t]);
        if (!workers[t].context) {
            while (t-- > 0)
                peer->stop(workers[t].context);
            return false;
        }
        bench_load_spoil(loads[t]);
        result->verified &= peer->pass(workers[t].context) && bench_load_verify(loads[t]);
    }
    return true;
}

static void summarize(struct bench_result *r, double *ns, double *cycles, unsigned trials)
{
    qsort(ns, trials, sizeof *ns, by_value);
    qsort(cycles, trials, sizeof *cycles, by_value);
    r->ns_min = ns[0];
    r->ns_median = ns[trials / 2];
    r->ns_max = ns[trials - 1];
    r->cycles_median = cycles[trials / 2];
}

bool bench_run(const struct bench_plan *plan, const struct bench_peer *peers, size_t count,
               struct bench_load *const *loads, struct bench_result *results)
{
    struct worker(*workers)[64] = calloc(count, sizeof *workers);
    double(*ns)[BENCH_TRIALS_MAX] = calloc(count, sizeof *ns),
    (*cycles)[BENCH_TRIALS_MAX] = calloc(count, sizeof *cycles);
    uint64_t passes[BENCH_PEERS_MAX];
    if (!workers || !ns || !cycles) {
        free(workers), free(ns), free(cycles);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct bench_result){0};
        results[i].ran = set_up(&peers[i], loads, plan->threads, workers[i], &results[i]);
        double once = results[i].ran ? trial(workers[i], plan->threads, 1) : 1;
        passes[i] = (uint64_t)((double)plan->trial_ns / (once + 1)) + 1;
    }
    for (unsigned t = 0; t < plan->trials; t++)
        for (size_t i = 0; i < count; i++) {
            if (!results[i].ran)
                continue;
            double ghz = bench_ghz();
            double took = trial(workers[i], plan->threads, passes[i]);
            ghz = (ghz + bench_ghz()) / 2;
            results[i].verified &= took > 0;
            ns[i][t] = took / (double)passes[i] / (double)loads[0]->count / plan->threads;
            cycles[i][t] = ns[i][t] * ghz;
        }
    for (size_t i = 0; i < count; i++) {
        if (!results[i].ran)
            continue;
        summarize(&results[i], ns[i], cycles[i], plan->trials);
        for (unsigned t = 0; t < plan->threads; t++)
            peers[i].stop(workers[i][t].context);
    }
    free(workers), free(ns), free(cycles);
    return true;
}
