/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of rewrap: the CMKs of a key vault, and the unwrap, wrap and proof of a batch of keys. */
#ifndef KT_JOBS_REWRAP_H
#define KT_JOBS_REWRAP_H

#include "jobs/cmks.h"
#include "jobs/filter.h"
#include "jobs/job.h"

struct kt_rewrap {
    struct kt_filter *filter; /* NULL: every key */
    int64_t older_than_ms, now_ms;
    struct kt_cmks cmks;   /* found by the survey */
    struct kt_cmk *target; /* NULL: each key stays under its CMK */
    struct kt_cmk **own;   /* then: those CMKs as they are written, one for each of cmks */
    size_t keys_max;       /* keys whose plaintext a batch may hold at a time */
    struct kt_cmk_counts *result;
};

/* Reads the key vault once before the job, counts the keys of each CMK that match, and refuses what cannot be
 * done: providers that are not configured. */
KT_MUST_USE enum kt_status kt_rewrap_survey(struct kt_job *job, struct kt_rewrap *rewrap,
                                            struct kt_error *err);

/* Opens a real DEK of every source CMK. One that cannot is warned of; when none can, or a KMS is not to be
 * reached, the job is refused. */
KT_MUST_USE enum kt_status kt_rewrap_try_sources(struct kt_job *job, struct kt_rewrap *rewrap,
                                                 struct kt_error *err);

/* Makes wrap targets of the target or, without one, of the CMKs themselves (a KMS may pin a version or make a
 * key), and sets .to and .reencrypts of every CMK. */
KT_MUST_USE enum kt_status kt_rewrap_aim(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err);

/* Wraps and unwraps random bytes with every target; asks whether a real DEK may be ReEncrypted, and where
 * that is refused sets .reencrypts back and warns. */
KT_MUST_USE enum kt_status kt_rewrap_try_targets(struct kt_job *job, struct kt_rewrap *rewrap,
                                                 struct kt_error *err);

/* Keys of a CMK that are proven when each proof takes a request: the first ones, and then one in a hundred.
 * seen: of this CMK, before this one. */
bool kt_rewrap_in_sample(uint64_t seen);
uint64_t kt_rewrap_sample_of(uint64_t keys);

/* Counts the requests that the job will make. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_rewrap_plan(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err);

/* A job that was doomed from the start must not end as one that did everything: KT_E_NET when no key failed
 * after all. */
KT_MUST_USE enum kt_status kt_rewrap_check_doom(const struct kt_job *job, struct kt_error *err);

/* Keys that the survey found to match. */
uint64_t kt_rewrap_matching(const struct kt_rewrap *rewrap);

bool kt_rewrap_matches(const struct kt_rewrap *rewrap, const struct kt_key_doc *key);

/* One key on its way. */
struct kt_rewrap_key {
    struct kt_key_doc key;
    uint32_t doc; /* of the batch */
    struct kt_cmk *from, *to;
    bool prove;            /* old and new wrap are opened and compared */
    enum kt_status status; /* other than KT_OK: it stays as it was, and is listed */
    struct kt_span made;   /* the new wrap; lives until the batch is used again */
};

/* Plans a batch of key documents, and opens, wraps and proves its keys. To be called again after *parked.
 * With a dry run it only plans. KT_OK: every key has its status. Errors go to batch->error where there is
 * more to say. */
KT_MUST_USE enum kt_status kt_rewrap_batch_advance(struct kt_job *job, struct kt_worker *worker,
                                                   struct kt_job_batch *batch, bool *parked);

/* The keys that match, in document order. */
const struct kt_rewrap_key *kt_rewrap_batch_keys(const struct kt_job_batch *batch, size_t *count);
void kt_rewrap_batch_free(struct kt_job *job, struct kt_job_batch *batch);

#endif
