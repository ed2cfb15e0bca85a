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
    uint64_t passes;
    double cpu_ns, wall_ns;
    bool good;
};

struct took {
    double ns, wall_ns;
};

static void *work(void *p)
{
    struct worker *w = p;
    if (w->barrier)
        pthread_barrier_wait(w->barrier);
    uint64_t wall = bench_now_ns(), cpu = bench_cpu_ns();
    for (uint64_t i = 0; i < w->passes && w->good; i++)
        w->good = w->peer->pass(w->context);
    w->cpu_ns = (double)(bench_cpu_ns() - cpu);
    w->wall_ns = (double)(bench_now_ns() - wall);
    return NULL;
}

/* One trial on all threads: the time of one, the wall time of the slowest of several; 0 when a pass failed.
 */
static struct took trial(struct worker *workers, unsigned threads, uint64_t passes)
{
    pthread_barrier_t barrier;
    pthread_t ids[64];
    for (unsigned t = 0; t < threads; t++) {
        workers[t].passes = passes;
        workers[t].barrier = threads > 1 ? &barrier : NULL;
    }
    if (threads == 1) {
        work(&workers[0]);
        return workers[0].good ? (struct took){workers[0].cpu_ns, workers[0].wall_ns} : (struct took){0};
    }
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned t = 0; t < threads; t++)
        if (pthread_create(&ids[t], NULL, work, &workers[t]) != 0)
            abort(); /* the others wait at the barrier for ever */
    double slowest = 0;
    bool good = true;
    for (unsigned t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        good &= workers[t].good;
        slowest = workers[t].wall_ns > slowest ? workers[t].wall_ns : slowest;
    }
    pthread_barrier_destroy(&barrier);
    return good ? (struct took){slowest, slowest} : (struct took){0};
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

/* Of one implementation, per trial. */
struct samples {
    double ns[BENCH_TRIALS_MAX], wall[BENCH_TRIALS_MAX], cycles[BENCH_TRIALS_MAX];
};

static void summarize(struct bench_result *r, struct samples *s, unsigned trials)
{
    qsort(s->ns, trials, sizeof s->ns[0], by_value);
    qsort(s->wall, trials, sizeof s->wall[0], by_value);
    qsort(s->cycles, trials, sizeof s->cycles[0], by_value);
    r->ns_min = s->ns[0];
    r->ns_median = s->ns[trials / 2];
    r->ns_max = s->ns[trials - 1];
    r->wall_median = s->wall[trials / 2];
    r->cycles_median = s->cycles[trials / 2];
}

/* Trial t. The clock is read on both sides; of several threads it says nothing. */
static bool sample(struct samples *s, unsigned t, struct worker *workers, const struct bench_plan *plan,
                   uint64_t passes, size_t messages)
{
    double before = bench_ghz();
    struct took took = trial(workers, plan->threads, passes);
    double ghz = (before + bench_ghz()) / 2, all = (double)passes * (double)messages * plan->threads;
    s->ns[t] = took.ns / all;
    s->wall[t] = took.wall_ns / all;
    s->cycles[t] = plan->threads == 1 ? s->ns[t] * ghz : 0;
    return took.ns > 0;
}

bool bench_run(const struct bench_plan *plan, const struct bench_peer *peers, size_t count,
               struct bench_load *const *loads, struct bench_result *results)
{
    struct worker(*workers)[64] = calloc(count, sizeof *workers);
    struct samples *samples = calloc(count, sizeof *samples);
    uint64_t passes[BENCH_PEERS_MAX];
    if (!workers || !samples) {
        free(workers), free(samples);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct bench_result){0};
        results[i].ran = set_up(&peers[i], loads, plan->threads, workers[i], &results[i]);
        double once = results[i].ran ? trial(workers[i], plan->threads, 1).ns : 1;
        passes[i] = (uint64_t)((double)plan->trial_ns / (once + 1)) + 1;
    }
    for (unsigned t = 0; t < plan->trials; t++)
        for (size_t i = 0; i < count; i++)
            if (results[i].ran)
                results[i].verified &= sample(&samples[i], t, workers[i], plan, passes[i], loads[0]->count);
    for (size_t i = 0; i < count; i++) {
        if (!results[i].ran)
            continue;
        summarize(&results[i], &samples[i], plan->trials);
        for (unsigned t = 0; t < plan->threads; t++)
            peers[i].stop(workers[i][t].context);
    }
    free(workers), free(samples);
    return true;
}
