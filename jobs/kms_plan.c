/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests a job takes, how long and what they cost. Quotas and prices are the providers' usual ones
 * (2026): AWS symmetric keys 10,000 a second per account and region; Azure 4,000 per vault and 10 s for
 * software RSA-2048; Google Cloud 60,000 a minute; AWS and Google Cloud USD 0.03 per 10,000. */
#include "jobs/kms_plan.h"

#include <stdlib.h>

#include "jobs/job.h"
#include "keys/strategy_kms.h"

#define USD_EACH (0.03 / 10000)

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

enum kt_status kt_kms_draft_open(struct kt_kms_draft *draft, size_t lines)
{
    kt_kms_draft_free(draft);
    draft->lines = calloc(lines + 1, sizeof *draft->lines);
    draft->plan.lines = draft->lines;
    return draft->lines ? KT_OK : KT_E_NOMEM;
}

void kt_kms_draft_free(struct kt_kms_draft *draft)
{
    free(draft->lines);
    *draft = (struct kt_kms_draft){0};
}

void kt_kms_draft_add(struct kt_kms_draft *draft, const struct kt_cmk *cmk, const char *operation,
                      enum kt_kms_op op, uint64_t deks, bool again)
{
    struct kt_kms_plan *plan = &draft->plan;
    if (deks == 0 || !cmk->provider || cmk->provider->kms == KT_KMS_LOCAL)
        return;
    enum kt_kms kms = cmk->provider->kms;
    struct kt_kms_cost cost = kt_kms_cost(kms, op, kt_cmk_stored(cmk));
    uint64_t calls = deks * cost.each + (again ? 0 : cost.once);
    if (calls == 0)
        return;
    draft->lines[plan->lines_count++] = (struct kt_kms_plan_line){.provider = cmk->provider->id,
                                                                  .cmk = cmk->name,
                                                                  .operation = operation,
                                                                  .deks = deks,
                                                                  .calls = calls,
                                                                  .at_least = cost.at_least};
    plan->calls += calls;
    plan->at_least |= cost.at_least;
    if (kms == KT_KMS_AWS || kms == KT_KMS_GCP)
        plan->usd += (double)calls * USD_EACH;
    else
        plan->unpriced = true;
}

static uint64_t calls_of(const struct kt_kms_plan *plan, const char *provider)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < plan->lines_count; i++)
        calls += strcmp(plan->lines[i].provider, provider) == 0 ? plan->lines[i].calls : 0;
    return calls;
}

/* Quotas are apart: the one that takes longest decides. */
void kt_kms_draft_estimate(struct kt_kms_draft *draft, const struct kt_job *job)
{
    struct kt_kms_plan *plan = &draft->plan;
    plan->quota_known = true;
    for (size_t i = 0; i < kt_providers_count(job->providers); i++) {
        const struct kt_provider *provider = kt_providers_at(job->providers, i);
        uint64_t calls = calls_of(plan, provider->id);
        double rate = job->options.kms_rate > 0 ? job->options.kms_rate : usual_quota(provider->kms);
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

static bool has_pointers(const struct kt_job *job)
{
    for (size_t i = 0; i < job->namespaces_count; i++)
        if (job->namespaces[i].schema && kt_schema_pointers(job->namespaces[i].schema) > 0)
            return true;
    return false;
}

enum kt_status kt_kms_draft_of_keys(struct kt_job *job)
{
    struct kt_kms_draft *draft = &job->kms_draft;
    enum kt_status status = kt_kms_draft_open(draft, job->key_cmks.count);
    for (size_t i = 0; i < job->key_cmks.count && status == KT_OK; i++) {
        const struct kt_cmk *cmk = job->key_cmks.v[i];
        draft->plan.deks += cmk->keys;
        kt_kms_draft_add(draft, cmk, "unwrap", KT_KMS_UNWRAP, cmk->keys, false);
    }
    /* Keys that only documents name are met on the way. */
    draft->plan.at_least |= !job->command->needs_schema || has_pointers(job);
    if (status == KT_OK)
        kt_kms_draft_estimate(draft, job);
    return status;
}

bool kt_job_kms_plan(const struct kt_job *job, struct kt_kms_plan *plan)
{
    *plan = job->kms_draft.plan;
    return job->kms && plan->calls > 0;
}

bool kt_kms_counted(struct kt_kms_strategies *kms, struct kt_kms_counts *counts)
{
    struct kt_kms_stats stats;
    if (!kms || !kt_kms_strategies_stats(kms, &stats))
        return false;
    *counts = (struct kt_kms_counts){.calls = stats.requests,
                                     .retries = stats.retries,
                                     .throttled = stats.throttled,
                                     .p50_ms = stats.p50_ms,
                                     .p99_ms = stats.p99_ms};
    return true;
}

void kt_kms_fill_result(struct kt_job *job)
{
    struct kt_job_result *result = &job->result;
    result->has_kms = kt_kms_counted(job->kms, &result->kms);
    if (job->table && kt_kms_draft_of_keys(job) == KT_OK) {
        result->kms_lines = job->kms_draft.lines;
        result->kms_lines_count = job->kms_draft.plan.lines_count;
    }
}
