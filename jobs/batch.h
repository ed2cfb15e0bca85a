/* SPDX-License-Identifier: Apache-2.0 */
/* A batch: one piece of the input with everything that is made of it on its way to the output. There is a
 * fixed pool of them per job; after warming up a batch allocates nothing. */
#ifndef KT_JOBS_BATCH_H
#define KT_JOBS_BATCH_H

#include <bson/bson.h>
#include <stdbool.h>

#include "common/region.h"
#include "common/span.h"
#include "csfle/walk.h"
#include "io/store.h"
#include "jobs/counts.h"
#include "keys/key_table.h"
#include "keyturn/engine.h"

/* Raw input per batch: small enough that batch and result stay in a core's cache, large enough that the
 * engine gets thousands of messages at a time. */
#define KT_BATCH_NBYTES ((size_t)1 << 20)

/* One document. ops[op_first, op_first + op_count) of the batch are its ops; failed: it stays as it is. */
struct kt_doc {
    uint32_t at, nbytes;
    uint32_t op_first, op_count;
    bool failed;
};

struct kt_namespace;

struct kt_job_batch {
    struct kt_job_batch *next; /* of the queue that holds it */
    uint64_t seq;              /* place in the input's order */
    struct kt_piece piece;
    struct kt_namespace *ns; /* what to do; NULL: pass through */
    const struct kt_entry *entry;
    bson_t position;        /* of the source behind this piece */
    uint64_t source_nbytes; /* of the input, read so far */

    struct kt_region in, out, opened;
    struct kt_span result; /* what the sink gets: in, or out */

    struct kt_doc *docs;
    size_t docs_count, docs_capacity;
    struct kt_ops ops;
    struct kt_msg *msgs;
    uint32_t *msg_ops; /* op of each message */
    size_t msgs_count, msgs_capacity;
    uint32_t *handles; /* keys that must be settled before the second phase */
    size_t handles_count, handles_capacity;

    struct kt_counts counts; /* of this batch alone */
    struct kt_buf failures;  /* lines of the failures file */
    bool planned;            /* first phase done */
    struct kt_key_waiter waiter;
    void *owner; /* the team; for the waiter */
    void *extra; /* the job's own part; rewrap's items */

    enum kt_status status; /* other than KT_OK: this batch ends the job */
    struct kt_error error;
};

KT_MUST_USE enum kt_status kt_job_batch_init(struct kt_job_batch *batch, size_t rules_max);
void kt_job_batch_free(struct kt_job_batch *batch);

/* Makes an empty batch of a used one: nothing of the former documents stays. */
void kt_job_batch_clear(struct kt_job_batch *batch);

/* Cuts the piece into docs. The source has checked every length. */
KT_MUST_USE enum kt_status kt_job_batch_split(struct kt_job_batch *batch);

KT_MUST_USE enum kt_status kt_job_batch_add_handle(struct kt_job_batch *batch, uint32_t handle);
KT_MUST_USE enum kt_status kt_job_batch_reserve_msgs(struct kt_job_batch *batch, size_t count);

#endif
