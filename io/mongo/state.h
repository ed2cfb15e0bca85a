/* SPDX-License-Identifier: Apache-2.0 */
/* What a job on a server has done so far, kept on the cluster that is written, in a database of its own:
 *
 *   checkpoints   {_id: {ns, is: "job"}, keyturn: 2, id, command, job, partitions, bounds: [BinData {_id: V}
 *                  ...], begun}                          one a namespace: which job, and how the _ids are cut
 *                 {_id: {ns, is: "range", id, n}, owner, at: BinData {_id: V}, done, counts: {...}}
 *                                                        one a range [bounds[n-1], bounds[n]): how far it
 *                                                        came
 *                 {_id: {ns, is: "lease", part}, ...}    io/mongo/lease.h
 *   failures      {_id, ns, id, range, line}             documents that could not be done
 *
 * A range's document is moved in the transaction of the batch that it tells of. id is that of the job's
 * document: what has another one, or no job, is a remainder that nobody looks at. */
#ifndef KT_IO_MONGO_STATE_H
#define KT_IO_MONGO_STATE_H

#include "io/mongo/client.h"
#include "io/mongo/id.h"
#include "io/mongo/txn.h"

#define KT_STATE_DB "keyturn"
#define KT_STATE_CHECKPOINTS "checkpoints"
#define KT_STATE_FAILURES "failures"
#define KT_STATE_VERSION 2

/* Creates both collections, if they are missing; before any transaction, which could not do it. */
KT_MUST_USE enum kt_status kt_state_create(struct kt_mongo *mongo, const char *state_db,
                                           struct kt_error *err);

/* A job on one namespace. */
struct kt_state_job {
    const char *state_db, *ns; /* borrowed */
    uint8_t id[16];            /* random: tells jobs of one namespace apart that follow each other */
    char command[16],
        job[65]; /* what it is: "encrypt", and a digest of everything that decides the outcome */
    int partitions;
    struct kt_id *bounds; /* ranges_count - 1 */
    size_t ranges_count;
    char *backup; /* rewrap: its backup file; owned, NULL: none */
};
void kt_state_job_free(struct kt_state_job *job);

/* Reads the namespace's job; *found false: there is none. KT_E_FORMAT: damaged. */
KT_MUST_USE enum kt_status kt_state_job_read(struct kt_mongo *mongo, struct kt_state_job *job, bool *found,
                                             struct kt_error *err);

/* Stores it, and removes what a former job has left. Another process that was first wins: *ours false, and it
 * has to be read. */
KT_MUST_USE enum kt_status kt_state_job_insert(struct kt_mongo *mongo, const struct kt_state_job *job,
                                               bool *ours, struct kt_error *err);

/* Drops everything that is kept of this very job, leases apart: one that began since stays. */
KT_MUST_USE enum kt_status kt_state_drop(struct kt_mongo *mongo, const struct kt_state_job *job,
                                         struct kt_error *err);

/* The same of whichever job the namespace has, damaged ones too. */
KT_MUST_USE enum kt_status kt_state_forget(struct kt_mongo *mongo, const char *state_db, const char *ns,
                                           struct kt_error *err);

/* One range's progress. */
struct kt_state_range {
    uint32_t n;
    uint8_t owner[16];
    struct kt_id at; /* the last _id that is done; unset: none yet */
    bool done;
    bson_t counts; /* the job's own */
};
void kt_state_range_init(struct kt_state_range *range, uint32_t n);
void kt_state_range_free(struct kt_state_range *range);

/* Makes sure that the ranges first, first + step, ... have their documents and that these are `owner`'s (16
 * bytes) from now on; then reads them: ranges has room for all of them, in that order. A former owner's
 * transactions abort from here on. */
KT_MUST_USE enum kt_status kt_state_ranges_take(struct kt_mongo *mongo, const struct kt_state_job *job,
                                                const uint8_t *owner, uint32_t first, uint32_t step,
                                                struct kt_state_range *ranges, struct kt_error *err);

/* In a transaction: moves a range from where it is (range->at) to `to`, with new counts; it must still be the
 * owner's and stand there (else KT_TXN_LOST). range itself is not changed: that is the caller's matter after
 * the commit. */
KT_MUST_USE enum kt_txn_end kt_state_range_move(struct kt_lane *lane, const struct kt_state_job *job,
                                                const uint8_t *owner, const struct kt_state_range *range,
                                                const struct kt_id *to, bool done, const bson_t *counts,
                                                struct kt_error *err);

/* After an unknown outcome: reads with majority where the range stands. */
KT_MUST_USE enum kt_status kt_state_range_read(struct kt_mongo *mongo, const struct kt_state_job *job,
                                               struct kt_state_range *range, struct kt_error *err);

/* In a transaction: keeps lines of the failures file. lines: whole lines of JSON, each ended by a newline.
 * KT_TXN_REFUSED: a single line is longer than a document may be. */
KT_MUST_USE enum kt_txn_end kt_state_failures_put(struct kt_lane *lane, const struct kt_state_job *job,
                                                  uint32_t range, struct kt_span lines, struct kt_error *err);

/* Hands on the lines that ranges first, first + step, ... have kept. */
typedef enum kt_status (*kt_line_fn)(void *context, struct kt_span lines, struct kt_error *err);
KT_MUST_USE enum kt_status kt_state_failures_each(struct kt_mongo *mongo, const struct kt_state_job *job,
                                                  uint32_t first, uint32_t step, kt_line_fn each,
                                                  void *context, struct kt_error *err);

/* Drops those lines: they have been handed on for good. */
KT_MUST_USE enum kt_status kt_state_failures_drop(struct kt_mongo *mongo, const struct kt_state_job *job,
                                                  uint32_t first, uint32_t step, struct kt_error *err);

/* How much keeps the job open: ranges that are not done, and lines that their part has not dropped yet. */
KT_MUST_USE enum kt_status kt_state_left(struct kt_mongo *mongo, const struct kt_state_job *job,
                                         uint64_t *left, struct kt_error *err);

#endif
