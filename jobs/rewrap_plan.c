/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests a rewrap takes, how long and what they cost. Quotas and prices are the providers' usual
 * ones (2026): AWS symmetric keys 10,000 a second per account and region; Azure 4,000 per vault and 10 s for
 * software RSA-2048; Google Cloud 60,000 a minute; AWS and Google Cloud USD 0.03 per 10,000. */
#include <stdlib.h>

#include "jobs/rewrap.h"
#include "kms/kms.h"

#define PROOFS_FIRST 10
#define PROOFS_EVERY 100
#define USD_EACH (0.03 / 10000)
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

static double usual_quota(enum kt_kms kms)
{
    switch (kms) {
    case KT_KMS_AWS:
        return 10000;
    case KT_KMS_AZURE:
        return 400;
    case KT_KMS_GCP:
        return 1000;
    default:
        return 0;
    }
}

static void add(struct kt_rewrap *rewrap, const struct kt_cmk *cmk, const char *operation, uint64_t deks,
                uint64_t calls)
{
    struct kt_kms_plan *plan = &rewrap->plan;
    if (calls == 0 || !cmk->provider)
        return;
    enum kt_kms kms = cmk->provider->kms;
    rewrap->plan_lines[plan->lines_count++] = (struct kt_kms_plan_line){.provider = cmk->provider->id,
                                                                        .cmk = cmk->name,
                                                                        .operation = operation,
                                                                        .deks = deks,
                                                                        .calls = calls};
    plan->calls += calls;
    if (kms == KT_KMS_AWS || kms == KT_KMS_GCP)
        plan->usd += (double)calls * USD_EACH;
    else
        plan->unpriced = true;
}

static uint64_t calls_for(const struct kt_cmk *cmk, enum kt_kms_op op, uint64_t deks)
{
    if (deks == 0 || !cmk->provider || cmk->provider->kms == KT_KMS_LOCAL)
        return 0;
    struct kt_kms_cost cost = kt_kms_cost(cmk->provider->kms, op, kt_cmk_stored(cmk));
    return deks * cost.each + cost.once;
}

/* What is fetched once for a CMK is there after its trial: only calls of each DEK are left for proofs. */
static uint64_t proofs_for(const struct kt_cmk *cmk, uint64_t deks)
{
    if (!cmk->provider || cmk->provider->kms == KT_KMS_LOCAL)
        return 0;
    return deks * kt_kms_cost(cmk->provider->kms, KT_KMS_UNWRAP, kt_cmk_stored(cmk)).each;
}

static void plan_cmk(struct kt_rewrap *rewrap, const struct kt_cmk *from)
{
    const struct kt_cmk *to = from->to;
    uint64_t deks = kt_cmk_refuses(from) ? 0 : from->keys;
    if (deks == 0 || !to)
        return;
    bool asks = proofs_for(to, 1) > 0;
    uint64_t proofs = asks || from->reencrypts ? kt_rewrap_sample_of(deks) : deks;
    rewrap->plan.deks += deks;
    rewrap->plan.proofs += proofs;
    if (from->reencrypts) {
        add(rewrap, from, "ReEncrypt", deks, calls_for(to, KT_KMS_REWRAP, deks));
        add(rewrap, from, "proof", proofs, proofs_for(from, proofs));
    } else {
        add(rewrap, from, "unwrap", deks, calls_for(from, KT_KMS_UNWRAP, deks));
        add(rewrap, to, "wrap", deks, calls_for(to, KT_KMS_WRAP, deks));
    }
    add(rewrap, to, "proof", proofs, proofs_for(to, proofs));
}

static uint64_t calls_of(const struct kt_kms_plan *plan, const char *provider)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < plan->lines_count; i++)
        calls += strcmp(plan->lines[i].provider, provider) == 0 ? plan->lines[i].calls : 0;
    return calls;
}

/* Quotas are apart: the one that takes longest decides. */
static void estimate(const struct kt_job *job, struct kt_kms_plan *plan)
{
    plan->quota_known = true;
    for (size_t i = 0; i < kt_providers_count(job->providers); i++) {
        const struct kt_provider *provider = kt_providers_at(job->providers, i);
        uint64_t calls = calls_of(plan, provider->id);
        double rate = usual_quota(provider->kms);
        if (job->options.kms_rate > 0)
            rate = job->options.kms_rate;
        if (calls == 0)
            continue;
        if (rate == 0)
            plan->quota_known = false;
        else if ((double)calls / rate > plan->seconds) {
            plan->seconds = (double)calls / rate;
            plan->rate = rate;
        }
    }
}

enum kt_status kt_rewrap_plan(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    rewrap->plan_lines = calloc(LINES_EACH * rewrap->cmks.count + 1, sizeof *rewrap->plan_lines);
    if (!rewrap->plan_lines)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < rewrap->cmks.count; i++) {
        const struct kt_cmk *cmk = rewrap->cmks.v[i];
        plan_cmk(rewrap, cmk);
        rewrap->doomed |= job->options.all_or_nothing && kt_cmk_refuses(cmk);
    }
    rewrap->plan.lines = rewrap->plan_lines;
    estimate(job, &rewrap->plan);
    return KT_OK;
}

bool kt_job_kms_plan(const struct kt_job *job, struct kt_kms_plan *plan)
{
    *plan = (struct kt_kms_plan){0};
    if (job->command != &kt_command_rewrap || !job->kms)
        return false;
    *plan = ((const struct kt_rewrap *)job->state)->plan;
    return plan->calls > 0;
}
