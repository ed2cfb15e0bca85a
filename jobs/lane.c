/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/lane.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

/* A transaction that fails for passing reasons (failover, a DDL command that waits) is made again for as
 * long. */
#define PATIENCE_FAILURES 2000

enum kt_status kt_lane_init(struct kt_live_lane *lane, struct kt_live *live, struct kt_worker *worker,
                            size_t rules_max, struct kt_error *err)
{
    *lane = (struct kt_live_lane){.live = live, .worker = worker, .limit = KT_LANE_DOCS_MAX};
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->ready_changed, NULL);
    enum kt_status status = kt_job_batch_init(&lane->batch, rules_max);
    if (status == KT_OK)
        status = kt_counts_init(&lane->total, rules_max);
    if (status != KT_OK)
        return kt_fail(err, status, "memory ran out");
    struct kt_mongo *where = live->reads_only ? live->mongo : live->target;
    status = kt_lane_open(&lane->session, where, live->reads_only, err);
    bool copies = live->copies && !live->reads_only;
    if (status == KT_OK && (copies || live->job->command == &kt_command_rewrap))
        status = kt_lane_open(&lane->reader, live->mongo, true, err);
    return status;
}

void kt_lane_forgive(struct kt_live_lane *lane)
{
    for (size_t i = 0; i < lane->refused_count; i++)
        kt_id_free(&lane->refused[i].id);
    lane->refused_count = 0;
}

void kt_lane_free(struct kt_live_lane *lane)
{
    if (!lane->live)
        return;
    kt_lane_close(&lane->session);
    kt_lane_close(&lane->reader);
    kt_region_free(&lane->again);
    kt_lane_forgive(lane);
    free(lane->refused);
    free(lane->commands);
    free(lane->statement_docs);
    kt_id_free(&lane->to);
    kt_counts_free(&lane->total);
    kt_job_batch_free(&lane->batch);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->ready_changed);
}

enum kt_status kt_lane_refuse(struct kt_live_lane *lane, uint32_t doc, const char *reason)
{
    const struct kt_job_batch *batch = &lane->batch;
    struct kt_refused *more = realloc(lane->refused, (lane->refused_count + 1) * sizeof *more);
    if (!more)
        return KT_E_NOMEM;
    lane->refused = more;
    struct kt_refused *refused = &more[lane->refused_count++];
    *refused = (struct kt_refused){0};
    snprintf(refused->reason, sizeof refused->reason, "%s", reason);
    return kt_id_of_doc(&refused->id, batch->in.data + batch->docs[doc].at, batch->docs[doc].nbytes);
}

static void rest_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* Somebody changed a document: fewer of them at a time make it less likely, a single one is waited for. */
static enum kt_status after_conflict(struct kt_live_lane *lane)
{
    uint64_t now = kt_clock_ns();
    struct kt_live *live = lane->live;
    atomic_fetch_add(&live->redone, lane->batch.docs_count);
    pthread_mutex_lock(&live->lock);
    lane->ns->ns->counts.ns.redone += lane->batch.docs_count;
    lane->ns->ns->counts.ns.aborted++;
    pthread_mutex_unlock(&live->lock);
    lane->streak = 0;
    if (lane->batch.docs_count > 1) {
        lane->limit = (uint32_t)lane->batch.docs_count / 2;
        return KT_OK;
    }
    if (lane->tries++ == 0)
        lane->tries_since_ns = now;
    if (lane->batch.docs_count && live->job->command != &kt_command_rewrap &&
        (lane->tries >= KT_LANE_TRIES_MAX || now - lane->tries_since_ns >= KT_LANE_TRIES_NS))
        return kt_lane_refuse(lane, 0, "it kept changing");
    /* The first tries follow each other at once, as a racing write is over in no time; an application's
     * transaction may take longer. */
    rest_ms(lane->tries < 20 ? 0 : lane->tries < 200 ? lane->tries / 2 : 150);
    return KT_OK;
}

/* The server names one refused statement a try: with fewer documents a try is cheaper. */
static void after_refusal(struct kt_live_lane *lane)
{
    lane->streak = 0;
    if (lane->refused_count > 1 && lane->limit > 1)
        lane->limit = lane->limit > 4 ? lane->limit / 4 : 1;
}

static void after_success(struct kt_live_lane *lane)
{
    lane->tries = lane->failures = 0;
    kt_lane_forgive(lane);
    if (lane->limit < KT_LANE_DOCS_MAX && ++lane->streak % 4 == 0) {
        lane->limit += lane->limit / 2 + 1;
        if (lane->limit > KT_LANE_DOCS_MAX)
            lane->limit = KT_LANE_DOCS_MAX;
    }
}

static enum kt_status after_failure(struct kt_live_lane *lane, struct kt_error *err)
{
    const struct kt_fault *fault = &lane->session.fault;
    if (!fault->code && !fault->network)
        fault = &lane->reader.fault;
    if (++lane->failures > PATIENCE_FAILURES)
        return kt_fault_fail(fault, kt_mongo_name(lane->live->mongo),
                             "a transaction that fails again and again", true, err);
    rest_ms(lane->failures < 10 ? lane->failures : lane->failures < 50 ? 20 : 200);
    return KT_OK;
}

void kt_lane_rest(struct kt_live_lane *lane)
{
    lane->tries++;
    rest_ms(lane->tries < 20 ? lane->tries : 50);
}

/* Counts what is done now; under the lock. */
static enum kt_status count_batch(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_live *live = lane->live;
    struct kt_team *team = &live->job->team;
    const struct kt_ns_counts *counts = &lane->batch.counts.ns;
    pthread_mutex_lock(&live->lock);
    enum kt_status status = kt_job_count_batch(live->job, &lane->batch, err);
    if (status == KT_OK && live->reads_only && !live->job->options.dry_run)
        status = kt_failures_put(&live->job->failures, lane->ns->ns->name,
                                 kt_span_of(lane->batch.failures.data, lane->batch.failures.nbytes), err);
    pthread_mutex_unlock(&live->lock);
    const struct kt_key_counts *keys = &lane->batch.counts.keys;
    atomic_fetch_add(&team->documents, counts->documents + keys->read);
    atomic_fetch_add(&team->values, counts->values + keys->rewrapped);
    atomic_fetch_add(&team->failed, counts->failed + keys->failed);
    atomic_fetch_add(&team->nbytes_done, counts->documents + keys->read);
    return status;
}

/* One batch, tried until it is done. */
static enum kt_status do_batch(struct kt_live_lane *lane, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    while (status == KT_OK && kt_live_gate(lane->live, (uint32_t)lane->batch.docs_count)) {
        bool keys = lane->live->job->command == &kt_command_rewrap;
        bool copies = lane->live->copies && !lane->live->reads_only;
        enum kt_txn_end end = keys     ? kt_lane_rewrap(lane, err)
                              : copies ? kt_lane_copy(lane, err)
                                       : kt_lane_batch(lane, err);
        atomic_fetch_sub(&lane->live->at_work, 1);
        switch (end) {
        case KT_TXN_OK:
            after_success(lane);
            /* What ends a range has no documents. */
            return lane->ended ? KT_OK : count_batch(lane, err);
        case KT_TXN_CONFLICT:
            status = after_conflict(lane);
            if (status != KT_OK)
                kt_fail(err, status, "memory ran out");
            break;
        case KT_TXN_REFUSED:
            after_refusal(lane);
            break;
        case KT_TXN_AGAIN:
            status = after_failure(lane, err);
            break;
        default:
            return err->status;
        }
        /* Documents of a batch that was not done do not count against the pace. */
        lane->batch.docs_count = 0;
    }
    return status == KT_OK ? KT_E_STOPPED : status;
}

static enum kt_status do_range(struct kt_live_lane *lane, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    kt_counts_clear(&lane->total);
    lane->total.paths_count = lane->ns->ns->counts.paths_count;
    if (bson_count_keys(&lane->range->counts) && !kt_counts_load(&lane->total, &lane->range->counts))
        return kt_fail(err, KT_E_FORMAT,
                       "%s: the figures of its checkpoint are damaged; --forget begins anew",
                       lane->ns->ns->name);
    lane->is_last = lane->range->n + 1 == lane->ns->state.ranges_count;
    while (status == KT_OK && !lane->range->done)
        status = do_batch(lane, err);
    return status;
}

static bool take_range(struct kt_live_lane *lane)
{
    struct kt_live *live = lane->live;
    bool found = false;
    pthread_mutex_lock(&live->lock);
    for (size_t i = 0; i < live->namespaces_count && !found && live->status == KT_OK; i++) {
        struct kt_live_ns *ns = &live->namespaces[i];
        while (ns->next < ns->ranges_count && ns->ranges[ns->next].done)
            ns->next++;
        found = ns->next < ns->ranges_count;
        if (found) {
            lane->ns = ns;
            lane->range = &ns->ranges[ns->next++];
        }
    }
    pthread_mutex_unlock(&live->lock);
    return found;
}

void kt_lane_over(struct kt_live_lane *lane, enum kt_status status, const struct kt_error *err)
{
    struct kt_live *live = lane->live;
    if (status != KT_OK && (lane->session.fault.away || lane->reader.fault.away))
        kt_live_is_away(live);
    if (status != KT_OK && status != KT_E_STOPPED)
        kt_live_fail(live, status, err->message);
    kt_txn_abort(&lane->session);
    pthread_mutex_lock(&live->lock);
    live->running--;
    pthread_cond_broadcast(&live->changed);
    pthread_mutex_unlock(&live->lock);
}

void *kt_lane_main(void *context)
{
    struct kt_live_lane *lane = context;
    struct kt_error err = {.status = KT_OK};
    enum kt_status status = KT_OK;
    while (status == KT_OK && take_range(lane))
        status = do_range(lane, &err);
    kt_lane_over(lane, status, &err);
    return NULL;
}
