/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs on a server: lanes instead of a team. Every lane runs a batch's stages in a row: find the next
 * documents of a range of _ids, plan, seal or open, update, move the range's checkpoint, commit; in one
 * snapshot transaction that waits for nobody. Jobs that only read (verify, a dry run) do the same without
 * writing.
 *
 *   live.c             opens and closes, starts lanes, gathers what they did
 *   live_namespaces.c  which collections, and what may be done with them
 *   live_rights.c      what the user may
 *   live_schema.c      the server's validators as schema
 *   live_projection.c  which of their fields are read
 *   live_sample.c      tries some documents before the start; live_plan.c: what that says of all
 *   live_state.c       lease, ranges, what is left for the next run; live_end.c: closes it
 *   live_join.c        joins the job that a namespace has, or begins one
 *   live_keep.c        renews the leases
 *   live_gate.c        stop, pause, pace: between transactions
 *   live_layout.c      the update commands of a batch; live_q.c: what names a document in them
 *   lane.c             one lane; lane_batch.c: one batch of it, lane_rewrap.c: one of keys, lane_copy.c: one
 * that is written elsewhere */
#ifndef KT_JOBS_LIVE_H
#define KT_JOBS_LIVE_H

#include "io/mongo/client.h"
#include "io/mongo/collection.h"
#include "io/mongo/lease.h"
#include "io/mongo/state.h"
#include "jobs/backup.h"
#include "jobs/job.h"

/* One collection. */
struct kt_live_ns {
    struct kt_namespace *ns; /* the job's */
    char db[64], to_db[64];
    const char *coll;
    bool whole;        /* whole documents are read */
    bson_t projection; /* else these fields */
    struct kt_coll facts;
    uint64_t documents; /* that the job will read, about */
    bool by_query;      /* these are what --query finds, counted */

    struct kt_state_job state;
    bool joined;                   /* state is what stands on the cluster */
    struct kt_state_range *ranges; /* this partition's */
    size_t ranges_count, next;     /* next: the first that no lane has taken */
    struct kt_lease_name lease;
    bool leased;

    struct kt_counts sample; /* of some documents, before the start */
    uint64_t paced;          /* documents read one behind the other, before the start */
    double paced_seconds;    /* what that took */
    struct kt_plan_path *plan_paths;
};

struct kt_live {
    struct kt_job *job;
    struct kt_mongo *mongo;  /* what is read */
    struct kt_mongo *target; /* what is written: the same, in place */
    bool copies;             /* it is another, or at least another collection */
    bool reads_only;
    const char *state_db;
    int part, parts;
    struct kt_owner owner;

    bson_t *query; /* NULL: all documents */
    const char *query_option;
    bson_t *schemas; /* that the server's validators hold; NULL: not asked for */
    struct kt_live_ns *namespaces;
    size_t namespaces_count;
    struct kt_plan_ns *plan;
    struct kt_live_lane *lanes;
    int lanes_count;

    struct kt_backup backup; /* rewrap: what was, on disk before it is changed */
    pthread_mutex_t backup_lock;
    bool maybe_written; /* all or nothing: it is, or the commit was asked for and its outcome is not known */

    pthread_t keeper;
    bool kept; /* it runs */

    pthread_mutex_t lock; /* everything below, leased, and the job's counts while lanes run */
    pthread_cond_t changed;
    int running;           /* lanes that have not ended */
    enum kt_status status; /* the first failure, which ends all lanes */
    struct kt_error error;
    bool over;               /* for the keeper */
    uint64_t allowed_ns;     /* pace: when the next batch may begin */
    _Atomic uint64_t redone; /* documents read again after a conflict */
    atomic_bool away;        /* no server answers any more */
    atomic_bool paused;
    atomic_bool behind;          /* a member of the set lags: the lanes wait */
    _Atomic uint32_t lag_tenths; /* of a second */
    atomic_int at_work;          /* lanes between the gate and the end of their transaction */
    _Atomic(const char *) waiting_for;
};

/* Zeroed items that hold a bson_t, which wants more alignment than malloc gives. NULL: memory ran out. free()
 * frees. */
#define KT_LIVE_NEW(type, count) ((type *)kt_live_alloc(_Alignof(type), (count), sizeof(type)))
void *kt_live_alloc(size_t alignment, size_t count, size_t nbytes);

/* Whether the options ask for a live job: --from is a server and nothing is written elsewhere. */
bool kt_live_wanted(const struct kt_job_options *options);

/* Connects and looks at the server and its collections; fills job->namespaces. Refuses what cannot be done
 * (KT_E_USAGE, KT_E_DENIED), each with the way out. */
KT_MUST_USE enum kt_status kt_live_open(struct kt_job *job, struct kt_error *err);

/* After keys and workers are there: sessions, and the lanes' memory. */
KT_MUST_USE enum kt_status kt_live_prepare(struct kt_job *job, struct kt_error *err);

/* Lease, ranges, lanes. KT_OK: all ranges of this partition are done. KT_E_STOPPED, KT_E_LIMIT, KT_E_BUSY
 * (the lease is held), KT_E_OTHER_JOB, or what failed. */
KT_MUST_USE enum kt_status kt_live_run(struct kt_job *job, struct kt_error *err);
void kt_live_close(struct kt_live *live);

/* Any thread. resting: no lane has a transaction. */
const char *kt_live_waiting_for(const struct kt_live *live);
bool kt_live_resting(struct kt_live *live);

/* No server answers any more: nobody looks for it any longer, and the guard stays. */
void kt_live_is_away(struct kt_live *live);

/* The first failure counts and ends all lanes. */
void kt_live_fail(struct kt_live *live, enum kt_status status, const char *message);
bool kt_live_ending(struct kt_live *live);

/* live_schema.c: job->schemas from the server's validators, or compared with them, when the options want it.
 */
KT_MUST_USE enum kt_status kt_live_read_schemas(struct kt_live *live, struct kt_error *err);

/* live_namespaces.c. each_collection: those that --ns-include spells out, or all there are. */
KT_MUST_USE enum kt_status kt_live_each_collection(struct kt_live *live, kt_name_fn each, void *context,
                                                   struct kt_error *err);
KT_MUST_USE enum kt_status kt_live_name_namespaces(struct kt_live *live, struct kt_error *err);
void kt_live_free_namespaces(struct kt_live *live);

/* live_projection.c: sets whole or projection. */
void kt_live_project(struct kt_live_ns *ns);

/* live_state.c: lease and ranges of every namespace. */
KT_MUST_USE enum kt_status kt_live_begin_state(struct kt_live *live, struct kt_error *err);

/* live_end.c: how the lanes ended; gives back what is held. Where everything is done, and no other partition
 * has anything left, the job's state is dropped. */
KT_MUST_USE enum kt_status kt_live_end_state(struct kt_live *live, enum kt_status ended, bool all_done,
                                             struct kt_error *err);
int kt_live_guard_fd(const struct kt_live *live); /* -1: there is none */

/* The lanes' session ids, back to back, for the caller to free. NULL: memory ran out. */
uint8_t *kt_live_sessions(const struct kt_live *live);

/* live_keep.c: starts and ends the keeper. A lease that is lost ends the job. */
KT_MUST_USE enum kt_status kt_live_keep(struct kt_live *live, struct kt_error *err);
void kt_live_keep_end(struct kt_live *live);

/* live_gate.c: called between transactions; returns when the next may begin, false when the job is ending.
 * documents: how many the last batch had. */
bool kt_live_gate(struct kt_live *live, uint32_t documents);

#endif
