/* SPDX-License-Identifier: Apache-2.0 */
/* Counts the requests that a job makes of key management services, by provider, operation and CMK. */
#ifndef KT_JOBS_KMS_PLAN_H
#define KT_JOBS_KMS_PLAN_H

#include "jobs/cmks.h"
#include "keys/strategy_kms.h"
#include "keyturn/job.h"
#include "kms/kms.h"

struct kt_job;

struct kt_kms_draft {
    struct kt_kms_plan plan;
    struct kt_kms_plan_line *lines;
};

/* Empties it and makes room. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_kms_draft_open(struct kt_kms_draft *draft, size_t lines);
void kt_kms_draft_free(struct kt_kms_draft *draft);

/* A line for op on so many DEKs of a CMK, unless it takes no request. again: what is fetched once is there.
 */
void kt_kms_draft_add(struct kt_kms_draft *draft, const struct kt_cmk *cmk, const char *operation,
                      enum kt_kms_op op, uint64_t deks, bool again);

/* How long it takes; to be called last. */
void kt_kms_draft_estimate(struct kt_kms_draft *draft, const struct kt_job *job);

/* The DEKs that the job's key table has handed to their providers so far. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_kms_draft_of_keys(struct kt_job *job);

/* What was asked of the KMS so far, as reports have it. False, and nothing set: there is none (kms may be
 * NULL). */
bool kt_kms_counted(struct kt_kms_strategies *kms, struct kt_kms_counts *counts);

/* Figures of this run for the result. */
void kt_kms_fill_result(struct kt_job *job);

#endif
