/* SPDX-License-Identifier: Apache-2.0 */
/* Between transactions: stop, pause, and the pace that the user allows. */
#include <time.h>

#include "common/clock.h"
#include "jobs/live.h"

#define LOOK_NS 50000000L

void kt_live_fail(struct kt_live *live, enum kt_status status, const char *message)
{
    pthread_mutex_lock(&live->lock);
    if (live->status == KT_OK) {
        live->status = status;
        kt_fail(&live->error, status, "%s", message);
    }
    pthread_cond_broadcast(&live->changed);
    pthread_mutex_unlock(&live->lock);
}

void kt_live_is_away(struct kt_live *live)
{
    atomic_store(&live->away, true);
    kt_mongo_give_up(live->mongo);
    kt_mongo_give_up(live->target);
}

bool kt_live_ending(struct kt_live *live)
{
    pthread_mutex_lock(&live->lock);
    bool failed = live->status != KT_OK;
    pthread_mutex_unlock(&live->lock);
    return failed || atomic_load(&live->job->team.stop);
}

const char *kt_live_waiting_for(const struct kt_live *live)
{
    return atomic_load(&live->waiting_for);
}

bool kt_live_resting(struct kt_live *live)
{
    return atomic_load(&live->at_work) == 0;
}

/* When the next batch may begin, if the one that is over had so many documents. */
static uint64_t book(struct kt_live *live, uint32_t documents)
{
    double rate = live->job->options.max_docs_per_second;
    if (!(rate > 0))
        return 0;
    pthread_mutex_lock(&live->lock);
    uint64_t now = kt_clock_ns();
    if (live->allowed_ns < now)
        live->allowed_ns = now;
    live->allowed_ns += (uint64_t)((double)documents * 1e9 / rate);
    uint64_t allowed = live->allowed_ns;
    pthread_mutex_unlock(&live->lock);
    return allowed;
}

bool kt_live_gate(struct kt_live *live, uint32_t documents)
{
    uint64_t allowed = book(live, documents);
    const char *said = NULL;
    while (!kt_live_ending(live)) {
        const char *why = atomic_load(&live->paused)   ? "you (paused)"
                          : atomic_load(&live->behind) ? "replication lag"
                          : kt_clock_ns() < allowed    ? "--max-docs-per-second"
                                                       : NULL;
        if (why != said)
            atomic_store(&live->waiting_for, why);
        said = why;
        if (!why) {
            /* Counted before the last look: who paused us and sees nobody at work can rely on it. */
            atomic_fetch_add(&live->at_work, 1);
            if (!atomic_load(&live->paused))
                return true;
            atomic_fetch_sub(&live->at_work, 1);
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return false;
}
