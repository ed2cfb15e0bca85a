/* SPDX-License-Identifier: Apache-2.0 */
/* A lane's connection: one client, one session, and the steps of its snapshot transactions:
 *   begin, find the next documents, update them, move the checkpoint, commit.
 * What was read, the change and the checkpoint commit together or not at all; any change of a document by
 * others after the snapshot makes the update a write conflict, which aborts the whole. Nothing here waits
 * between the update and the commit.
 *
 * Threads: a lane belongs to one thread. */
#ifndef KT_IO_MONGO_TXN_H
#define KT_IO_MONGO_TXN_H

#include "common/region.h"
#include "io/mongo/client.h"
#include "io/mongo/fault.h"
#include "io/mongo/id.h"

/* How a step ended. */
enum kt_txn_end {
    KT_TXN_OK,
    KT_TXN_CONFLICT, /* aborted: somebody changed a document; read again */
    KT_TXN_AGAIN, /* aborted for another passing reason (failover, lock timeout, network); read again. Once no
                     server has answered for its patience, KT_TXN_FAILED instead, with fault.away */
    KT_TXN_REFUSED, /* aborted: the server refuses one statement; fault.index says which */
    KT_TXN_LOST,    /* aborted: the checkpoint is no longer ours */
    KT_TXN_UNKNOWN, /* commit: no answer within its time; the checkpoint tells */
    KT_TXN_FAILED,  /* aborted: anything else; err says what */
};

struct kt_lane {
    struct kt_mongo *mongo;
    mongoc_client_t *client;
    mongoc_client_session_t *session;
    mongoc_transaction_opt_t *options;
    bson_t opts; /* names the session; for every command of a transaction */
    uint8_t session_id[16];
    bool reads_only;          /* no transaction: each find reads by itself, with read concern majority */
    uint64_t silent_since_ns; /* the first fault without an answer since the last answer; 0: none */
    struct kt_fault fault;
};

/* reads_only: no session is opened. KT_OK, KT_E_NET, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_lane_open(struct kt_lane *lane, struct kt_mongo *mongo, bool reads_only,
                                        struct kt_error *err);
void kt_lane_close(struct kt_lane *lane);

/* Which documents a find reads, in the order of the _id index: from `from` (unset: from the beginning; itself
 * included unless from_is_done) up to `to` (unset: to the end, but for _id MaxKey, which an upper end without
 * bound leaves out whenever there is a lower one; the server refuses MaxKey itself as a lower one). */
struct kt_range_read {
    const char *db, *coll;
    const struct kt_id *from, *to;
    bool from_is_done;
    bool max_key;             /* only the document whose _id is MaxKey */
    const bson_t *query;      /* NULL: all; else only those that it finds */
    const bson_t *projection; /* NULL: whole documents */
    uint32_t limit;           /* documents */
};

/* Begins a transaction; on a lane that reads only, nothing. */
KT_MUST_USE enum kt_txn_end kt_txn_begin(struct kt_lane *lane, struct kt_error *err);

/* Reads documents back to back into `into`; *nbytes, *count say how many. Fewer than limit is not the end, as
 * a reply has its own; none is. */
KT_MUST_USE enum kt_txn_end kt_txn_find(struct kt_lane *lane, const struct kt_range_read *read,
                                        struct kt_region *into, size_t *nbytes, uint32_t *count,
                                        struct kt_error *err);

/* Any find command in the same way, as far as its first reply goes: its batchSize takes all, and all of it is
 * less than 16 MiB. */
KT_MUST_USE enum kt_txn_end kt_txn_fetch(struct kt_lane *lane, const char *db, const bson_t *command,
                                         struct kt_region *into, size_t *nbytes, uint32_t *count,
                                         struct kt_error *err);

/* One write command, complete as BSON (update, insert). *matched: the reply's n. */
KT_MUST_USE enum kt_txn_end kt_txn_write(struct kt_lane *lane, const char *db, struct kt_span command,
                                         int64_t *matched, struct kt_error *err);

/* The same where every one of its statements must find its document, as the snapshot holds it, or insert one:
 * any other number is KT_TXN_FAILED. */
KT_MUST_USE enum kt_txn_end kt_txn_write_all(struct kt_lane *lane, const char *db, struct kt_span command,
                                             size_t count, struct kt_error *err);

/* Commits with write concern majority; asks again while the outcome is unknown, for at most patience_ms or
 * until *stop says so. */
KT_MUST_USE enum kt_txn_end kt_txn_commit(struct kt_lane *lane, uint64_t patience_ms, struct kt_error *err);

/* Ends the transaction, if one is open, without its writes. */
void kt_txn_abort(struct kt_lane *lane);

#endif
