/* SPDX-License-Identifier: Apache-2.0 */
/* The file pipeline: one reader, the workers (one OpenMP parallel region for the job's life), one writer.
 *
 *   free ─► reader ─► ready ─► workers ─► done ─► writer (puts them in order) ─► free
 *                       ▲         │
 *                       └─ keys ◄─┘ a batch that lacks a key parks until the key table calls its waiter
 *
 * Only taking an empty batch can block on the pipeline itself, so it cannot deadlock. The first batch in the
 * input's order that fails ends the job; all before it are written and in the last checkpoint. */
#ifndef KT_JOBS_TEAM_H
#define KT_JOBS_TEAM_H

#include <stdatomic.h>

#include "io/store.h"
#include "jobs/batch.h"
#include "jobs/queue.h"

/* What a job does with batches. context is the job's. */
struct kt_team_work {
    void *context;

    /* Reader's thread, once a batch: sets batch->ns. */
    void (*route)(void *context, struct kt_job_batch *batch);

    /* Worker's thread, with that worker's own engine and caches. Sets batch->result. *parked true: the
     * batch's waiter was left with the key table; process is called again. Not called for batches without ns.
     */
    enum kt_status (*process)(void *context, void *worker, struct kt_job_batch *batch, bool *parked);

    /* Writer's thread, in the input's order, after the sink took the batch. */
    enum kt_status (*written)(void *context, struct kt_job_batch *batch, struct kt_error *err);

    /* Writer's thread: stores a checkpoint behind the batch whose `position` this is. */
    enum kt_status (*checkpoint)(void *context, const bson_t *position, struct kt_error *err);
};

struct kt_team {
    struct kt_team_work work;
    struct kt_source *source;
    struct kt_sink *sink; /* NULL: nothing is written */
    size_t want;          /* raw bytes a batch */
    void **workers;       /* one per thread */
    int threads;

    atomic_bool stop; /* set by anybody */

    /* progress, for any thread */
    _Atomic uint64_t documents, values, failed, nbytes_done, nbytes_total;
    _Atomic int reading, writing; /* 1 while inside the source or the sink */
    _Atomic int parked;           /* may be below zero for a moment */

    /* the team's own */
    struct kt_job_batch *batches;
    size_t batches_count;
    struct kt_queue free, ready, done;
    enum kt_status status; /* the writer's verdict */
    struct kt_error error;
};

/* Batches that a team of so many workers has. */
size_t kt_team_batches(int threads);

/* rules_max: the largest number of rules of a schema. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_team_init(struct kt_team *team, size_t rules_max);
void kt_team_free(struct kt_team *team);

/* Runs to the end of the source. The caller's thread is one of the workers. KT_OK, KT_E_STOPPED (team->stop
 * was set; all batches read so far are written and checkpointed), or what a stage said. */
KT_MUST_USE enum kt_status kt_team_run(struct kt_team *team, struct kt_error *err);

/* What the pipeline waits for just now: "KMS", "input", "output" or NULL. Any thread. */
const char *kt_team_waiting_for(const struct kt_team *team);

#endif
