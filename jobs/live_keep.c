/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: a thread that renews the leases, from the first one that is taken to the end, and looks how far
 * members lag behind. */
#include <errno.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "io/mongo/lag.h"
#include "jobs/live.h"

/* Lanes wait while a member is further behind than the one, until it is no further than the other. */
#define LAG_BAD_S 10
#define LAG_GOOD_S 4
#define LOOK_MS 1000

static enum kt_status renew_all(struct kt_live *live, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++) {
        struct kt_live_ns *ns = &live->namespaces[i];
        pthread_mutex_lock(&live->lock);
        bool leased = ns->leased;
        pthread_mutex_unlock(&live->lock);
        if (leased)
            status = kt_lease_renew(live->target, &ns->lease, &live->owner, err);
    }
    return status;
}

/* A renewal that meets a silent server is tried again: until somebody else has the lease, the lanes may go
 * on, as each of their transactions checks that for itself. */
static void renew(struct kt_live *live)
{
    struct kt_error err;
    enum kt_status status = renew_all(live, &err);
    if (status == KT_E_BUSY)
        kt_live_fail(live, KT_E_NET, err.message);
    else if (status != KT_OK)
        kt_log(live->job->log, KT_LOG_INFO, "the lease could not be renewed: %s", err.message);
}

/* Members that fall far behind lose the oplog's window, and their readers see the past. */
static void look_at_lag(struct kt_live *live)
{
    double seconds;
    if (kt_mongo_lag(live->target, &seconds, NULL) != KT_OK)
        return;
    atomic_store(&live->lag_tenths, (uint32_t)(seconds * 10));
    bool behind = atomic_load(&live->behind);
    atomic_store(&live->behind, seconds > (behind ? LAG_GOOD_S : LAG_BAD_S));
}

static struct timespec after_ms(unsigned ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* False: it is over. */
static bool rest(struct kt_live *live)
{
    struct timespec at = after_ms(LOOK_MS);
    int timed_out = 0;
    pthread_mutex_lock(&live->lock);
    while (!live->over && !timed_out)
        timed_out = pthread_cond_timedwait(&live->changed, &live->lock, &at) == ETIMEDOUT;
    bool over = live->over;
    pthread_mutex_unlock(&live->lock);
    return !over;
}

static void *keep(void *context)
{
    struct kt_live *live = context;
    uint64_t renewed = kt_clock_ns();
    while (rest(live)) {
        if (atomic_load(&live->away))
            continue;
        if (kt_clock_ns() - renewed >= KT_LEASE_RENEW_MS * UINT64_C(1000000)) {
            renewed = kt_clock_ns();
            renew(live);
        }
        look_at_lag(live);
    }
    return NULL;
}

enum kt_status kt_live_keep(struct kt_live *live, struct kt_error *err)
{
    live->kept = pthread_create(&live->keeper, NULL, keep, live) == 0;
    return live->kept ? KT_OK : kt_fail(err, KT_E_NOMEM, "cannot start a thread");
}

void kt_live_keep_end(struct kt_live *live)
{
    if (!live->kept)
        return;
    pthread_mutex_lock(&live->lock);
    live->over = true;
    pthread_cond_broadcast(&live->changed);
    pthread_mutex_unlock(&live->lock);
    pthread_join(live->keeper, NULL);
    live->kept = false;
}
