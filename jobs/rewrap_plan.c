/* SPDX-License-Identifier: Apache-2.0 */
/* What a rewrap asks for: which keys are proven, and how many requests that makes. */
#include "jobs/rewrap.h"

#define PROOFS_FIRST 10
#define PROOFS_EVERY 100
/* Of one CMK: to open, to wrap, to prove the old and the new wrap. */
#define LINES_EACH 4

bool kt_rewrap_in_sample(uint64_t seen)
{
    return seen < PROOFS_FIRST || seen % PROOFS_EVERY == 0;
}

uint64_t kt_rewrap_sample_of(uint64_t keys)
{
    return keys <= PROOFS_FIRST ? keys : PROOFS_FIRST + (keys - 1) / PROOFS_EVERY;
}

static void plan_cmk(struct kt_kms_draft *draft, const struct kt_cmk *from)
{
    const struct kt_cmk *to = from->to;
    uint64_t deks = kt_cmk_refuses(from) ? 0 : from->keys;
    if (deks == 0 || !to)
        return;
    bool asks = to->provider && to->provider->kms != KT_KMS_LOCAL &&
                kt_kms_cost(to->provider->kms, KT_KMS_UNWRAP, kt_cmk_stored(to)).each > 0;
    uint64_t proofs = asks || from->reencrypts ? kt_rewrap_sample_of(deks) : deks;
    draft->plan.deks += deks;
    draft->plan.proofs += proofs;
    if (from->reencrypts) {
        kt_kms_draft_add(draft, from, "ReEncrypt", KT_KMS_REWRAP, deks, false);
        kt_kms_draft_add(draft, from, "proof", KT_KMS_UNWRAP, proofs, true);
    } else {
        kt_kms_draft_add(draft, from, "unwrap", KT_KMS_UNWRAP, deks, false);
        kt_kms_draft_add(draft, to, "wrap", KT_KMS_WRAP, deks, false);
    }
    kt_kms_draft_add(draft, to, "proof", KT_KMS_UNWRAP, proofs, true);
}

enum kt_status kt_rewrap_plan(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    if (kt_kms_draft_open(&job->kms_draft, LINES_EACH * rewrap->cmks.count) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < rewrap->cmks.count; i++) {
        const struct kt_cmk *cmk = rewrap->cmks.v[i];
        plan_cmk(&job->kms_draft, cmk);
        job->doomed |= job->options.all_or_nothing && kt_cmk_refuses(cmk);
    }
    kt_kms_draft_estimate(&job->kms_draft, job);
    return KT_OK;
}

enum kt_status kt_rewrap_check_doom(const struct kt_job *job, struct kt_error *err)
{
    if (!job->doomed || job->failed > 0)
        return KT_OK;
    return kt_fail(err, KT_E_NET,
                   "the keys of a CMK that cannot be used are gone since the job began, so nothing was "
                   "written; the same command begins anew");
}
