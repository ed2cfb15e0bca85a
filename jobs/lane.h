/* SPDX-License-Identifier: Apache-2.0 */
/* One lane of a live job. */
#ifndef KT_JOBS_LANE_H
#define KT_JOBS_LANE_H

#include "jobs/live.h"

/* Documents of a batch: the best number, as measured; a conflict halves it. */
#define KT_LANE_DOCS_MAX 500
/* Raw bytes of a batch, about. */
#define KT_LANE_NBYTES ((size_t)4 << 20)

/* A document that keeps changing is tried alone so often and so long, whichever is over first. */
#define KT_LANE_TRIES_MAX 300
#define KT_LANE_TRIES_NS 30000000000ull

/* How long a commit whose outcome is unknown is asked about. */
#define KT_LANE_COMMIT_MS 120000

/* A document that the server did not take, or that kept changing: left out when its batch is made again. */
struct kt_refused {
    struct kt_id id;
    char reason[160];
};

/* One update command in batch->out. */
struct kt_lane_command {
    uint32_t at, nbytes, first, count; /* first: of its statements, count: how many */
};

struct kt_live_lane {
    struct kt_live *live;
    struct kt_worker *worker;
    pthread_t thread;
    bool started;
    struct kt_lane session;
    struct kt_lane reader;  /* rewrap, and what is written elsewhere: for reads in no transaction */
    struct kt_region again; /* rewrap: the key documents, read again */
    struct kt_job_batch batch;
    struct kt_live_ns *ns; /* in hand */
    struct kt_state_range *range;
    bool is_last;           /* the namespace's last range */
    struct kt_counts total; /* of the range, earlier runs included */
    struct kt_id to;        /* the batch's last _id */
    bool ended;             /* the batch found nothing more */

    uint32_t limit;   /* documents of the next batch */
    uint32_t streak;  /* batches without a conflict */
    uint64_t average; /* bytes of a document as it is read */
    uint32_t tries;   /* of a document alone */
    uint64_t tries_since_ns;
    uint32_t failures; /* transactions in a row that failed for another passing reason */

    struct kt_refused *refused;
    size_t refused_count;
    struct kt_lane_command *commands;
    size_t commands_count, commands_capacity;
    uint32_t *statement_docs; /* document of each statement of all commands */
    size_t statements_count, statements_capacity;

    pthread_mutex_t lock; /* for keys on their way */
    pthread_cond_t ready_changed;
    bool ready;
};

/* rules_max: as kt_job_batch_init. KT_OK, KT_E_NET, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_lane_init(struct kt_live_lane *lane, struct kt_live *live,
                                        struct kt_worker *worker, size_t rules_max, struct kt_error *err);
void kt_lane_free(struct kt_live_lane *lane);

/* A lane's thread: takes ranges until there are none or the job ends. */
void *kt_lane_main(void *lane);

/* The end of each lane's thread: what it met ends the job; it has no transaction any more. */
void kt_lane_over(struct kt_live_lane *lane, enum kt_status status, const struct kt_error *err);

/* One batch of the range in hand, from the read to the commit, tried once. KT_TXN_OK: it is done
 * (lane->ended: and the range with it). */
KT_MUST_USE enum kt_txn_end kt_lane_batch(struct kt_live_lane *lane, struct kt_error *err);

/* The same where the documents are written elsewhere (lane_copy.c). */
KT_MUST_USE enum kt_txn_end kt_lane_copy(struct kt_live_lane *lane, struct kt_error *err);

/* The same of a range of a key vault (lane_rewrap.c). */
KT_MUST_USE enum kt_txn_end kt_lane_rewrap(struct kt_live_lane *lane, struct kt_error *err);

/* Its parts, for a rewrap as a whole: makes the wraps of the batch that was read, and counts them. */
KT_MUST_USE enum kt_txn_end kt_lane_make_wraps(struct kt_live_lane *lane, struct kt_error *err);
void kt_lane_count_keys(struct kt_live_lane *lane);

/* What both are made of. clear: an empty batch for the range in hand. range: what of it is left to read.
 * read: the next documents, through either connection. note_last_id: after reading. commit: failures,
 * checkpoint, commit (never KT_TXN_REFUSED). settle: the range goes on from behind the batch. */
void kt_lane_clear(struct kt_live_lane *lane);
struct kt_range_read kt_lane_range(const struct kt_live_lane *lane);
KT_MUST_USE enum kt_txn_end kt_lane_read(struct kt_live_lane *lane, struct kt_lane *by, uint32_t *count,
                                         struct kt_error *err);
KT_MUST_USE enum kt_status kt_lane_note_last_id(struct kt_live_lane *lane);
KT_MUST_USE enum kt_txn_end kt_lane_commit(struct kt_live_lane *lane, struct kt_error *err);
KT_MUST_USE enum kt_txn_end kt_lane_settle(struct kt_live_lane *lane, struct kt_error *err);

/* Before a step that may park the batch, and after it did. */
void kt_lane_await(struct kt_live_lane *lane);
void kt_lane_wait_for_keys(struct kt_live_lane *lane);

/* A short rest after a transaction that did not go through. */
void kt_lane_rest(struct kt_live_lane *lane);

/* Leaves the document out of what follows. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_lane_refuse(struct kt_live_lane *lane, uint32_t doc, const char *reason);
void kt_lane_forgive(struct kt_live_lane *lane);

/* live_layout.c: as kt_fields_lay_out, but what is laid out are the update commands of the batch; a document
 * that cannot be updated fails alone. */
KT_MUST_USE enum kt_status kt_live_lay_out(struct kt_job *job, struct kt_job_batch *batch);

#endif
