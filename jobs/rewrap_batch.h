/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a batch, and where the steps of their rewrap (jobs/rewrap_steps.c) stand. */
#ifndef KT_JOBS_REWRAP_BATCH_H
#define KT_JOBS_REWRAP_BATCH_H

#include <stdatomic.h>

#include "jobs/rewrap.h"

enum kt_rewrap_step { KT_REWRAP_NONE, KT_REWRAP_OPEN, KT_REWRAP_MAKE, KT_REWRAP_PROVE };

/* What is asked of a strategy. */
enum kt_rewrap_ask { KT_ASK_UNWRAP_OLD, KT_ASK_WRAP, KT_ASK_REWRAP, KT_ASK_UNWRAP_NEW };

struct kt_rewrap_batch {
    struct kt_rewrap_key *keys;
    size_t count, capacity;
    size_t round, round_end; /* keys in hand */
    enum kt_rewrap_step step;
    struct kt_wrap_item *items; /* of the running step, those of a group side by side */
    struct kt_rewrap_key **item_keys;
    size_t items_count;
    struct kt_rewrap_group {
        struct kt_wrap_batch batch;
        const struct kt_strategy *strategy;
        enum kt_rewrap_ask ask;
    } * groups;
    size_t groups_count, groups_capacity;
    struct kt_buf made;    /* new wraps of the whole batch */
    uint8_t *deks, *again; /* keys_max DEKs each, locked */
    atomic_size_t open;    /* groups without an answer, plus one while they are being started */
    struct kt_job_batch *batch;
};

/* The batch's own, made at the first call. NULL: memory, or locked memory, ran out. */
struct kt_rewrap_batch *kt_rewrap_batch_of(struct kt_job *job, struct kt_job_batch *batch);

/* After kt_rewrap_batch_of: finds the keys that match, and what each will be wrapped under. KT_OK or
 * KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_rewrap_batch_plan(struct kt_job *job, struct kt_job_batch *batch);

/* Counts and lists a key that stays as it was. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_rewrap_fail_key(struct kt_job_batch *batch, uint32_t doc, const char *reason);

#endif
