/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of rewrap: the CMKs of a key vault, and the unwrap, wrap and proof of a batch of keys. */
#ifndef KT_JOBS_REWRAP_H
#define KT_JOBS_REWRAP_H

#include "jobs/filter.h"
#include "jobs/job.h"
#include "keys/strategy.h"

#define KT_PROBE_KEYS 4

/* A CMK that wraps keys of this vault. */
struct kt_cmk {
    struct kt_buf master_key; /* as it stands in the key documents */
    const struct kt_provider *provider;
    const struct kt_strategy *strategy;
    char name[128];                     /* for screens */
    uint64_t matched;                   /* keys that the job is going to rewrap, by the survey */
    uint64_t rewrapped;                 /* writer's thread */
    struct kt_cmk *to;                  /* what its keys are wrapped under afterwards; borrowed */
    bool reencrypts;                    /* one request of the KMS makes the new wrap of the old one */
    _Atomic uint64_t seen;              /* keys planned; decides which are proven */
    struct kt_buf probe[KT_PROBE_KEYS]; /* wrapped DEKs, to try the CMK before anything is written */
    size_t probes;
};

struct kt_rewrap {
    struct kt_filter *filter; /* NULL: every key */
    int64_t older_than_ms, now_ms;
    struct kt_cmk *cmks; /* found by the survey */
    size_t cmks_count;
    struct kt_cmk target; /* provider NULL: each key stays under its CMK */
    struct kt_cmk *own;   /* then: those CMKs as they are written, one for each of cmks */
    size_t keys_max;      /* keys whose plaintext a batch may hold at a time */
    struct kt_cmk_counts *result;
};

/* Survey: reads the key vault once before the job, counts the keys of each CMK that match, and refuses what
 * cannot be done: providers that are not configured, key documents that are none. */
KT_MUST_USE enum kt_status kt_rewrap_survey(struct kt_job *job, struct kt_rewrap *rewrap,
                                            struct kt_error *err);

/* Makes wrap targets of the target or, without one, of the CMKs themselves (a KMS may pin a version or make a
 * key), and sets .to and .reencrypts of every CMK. */
KT_MUST_USE enum kt_status kt_rewrap_aim(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err);

/* Tries every source CMK with a real DEK and the target with random bytes. */
KT_MUST_USE enum kt_status kt_rewrap_probe(struct kt_job *job, struct kt_rewrap *rewrap,
                                           struct kt_error *err);

/* The CMK of a key document; NULL when it is not known. */
struct kt_cmk *kt_rewrap_cmk(struct kt_rewrap *rewrap, const struct kt_key_doc *key);

/* Adds a CMK. KT_E_NO_PROVIDER when its provider is not configured or this build has no way to it. */
KT_MUST_USE enum kt_status kt_rewrap_add_cmk(struct kt_job *job, struct kt_rewrap *rewrap,
                                             const struct kt_key_doc *key, struct kt_cmk **cmk,
                                             struct kt_error *err);

/* Fills provider and strategy of a CMK. KT_OK or KT_E_NO_PROVIDER. */
KT_MUST_USE enum kt_status kt_rewrap_find_provider(const struct kt_job *job, struct kt_span id,
                                                   struct kt_cmk *cmk, struct kt_error *err);

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
