/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's run came to. */
#include <stdlib.h>

#include "common/clock.h"
#include "jobs/job.h"
#include "jobs/only.h"

/* Anything but authentic values at the schema's paths. */
static bool verify_found(const struct kt_job *job)
{
    for (size_t i = 0; i < job->namespaces_count; i++) {
        const struct kt_counts *counts = &job->namespaces[i].counts;
        uint64_t authentic = 0;
        for (size_t r = 0; r < counts->paths_count; r++)
            authentic += counts->paths[r].authentic;
        if (authentic != counts->ns.values || counts->ns.failed)
            return true;
    }
    return false;
}

static int exit_of(const struct kt_job *job, enum kt_status status)
{
    if (status == KT_OK)
        return job->command == &kt_command_verify ? (verify_found(job) ? 5 : 0) : job->failed > 0;
    switch (kt_status_category(status)) {
    case KT_CAT_STOP:
        return 3;
    case KT_CAT_USAGE:
        return 2;
    default:
        return 4;
    }
}

void kt_job_fill_result(struct kt_job *job, enum kt_status status)
{
    struct kt_job_result *result = &job->result;
    result->exit = exit_of(job, status);
    result->closed = status == KT_OK;
    result->seconds = (double)(kt_clock_ns() - job->started_ns) / 1e9;
    result->backend = kt_engine_backend(job->engine);
    result->threads = job->threads;
    result->warnings = (const char *const *)job->warnings;
    result->failures_file = kt_failures_first_name(&job->failures);
    for (size_t i = 0; i < job->namespaces_count; i++) {
        struct kt_namespace *ns = &job->namespaces[i];
        struct kt_ns_counts *counts = &job->result_namespaces[i];
        for (size_t r = 0; r < ns->counts.paths_count; r++) {
            ns->report[r] = ns->counts.paths[r];
            ns->report[r].path = kt_schema_rule(ns->schema, r)->path;
        }
        *counts = ns->counts.ns;
        counts->ns = ns->name;
        counts->paths = ns->report;
        counts->paths_count = ns->counts.paths_count;
        result->keys.read += ns->counts.keys.read;
        result->keys.matched += ns->counts.keys.matched;
        result->keys.rewrapped += ns->counts.keys.rewrapped;
        result->keys.sampled += ns->counts.keys.sampled;
        result->keys.proven += ns->counts.keys.proven;
        result->keys.failed += ns->counts.keys.failed;
    }
    if (result->withheld)
        result->keys.rewrapped = 0;
    result->namespaces = job->result_namespaces;
    result->namespaces_count = job->namespaces_count;
    if (job->command->result)
        job->command->result(job);
    kt_kms_fill_result(job);
}

/* A job that went on, or does a part, has not seen everything itself. */
static void warn_of_unmet(struct kt_job *job)
{
    size_t listed, missed;
    if (!job->only || job->result.resumed || job->options.partitions > 1)
        return;
    kt_only_count(job->only, &listed, &missed);
    if (listed == 0)
        kt_job_warn(job, "--only %s lists nothing: nothing was done", job->options.only);
    else if (missed > 0)
        kt_job_warn(job, "--only %s: %zu of the %zu that it lists were not found", job->options.only, missed,
                    listed);
}

/* An old list beside an output without failures misleads; it may still be wanted for something else. */
static void warn_of_old_lists(struct kt_job *job)
{
    if (job->options.dry_run || (!job->command->writes && !job->failures.named))
        return;
    for (size_t i = 0; i < job->namespaces_count; i++) {
        char *name = kt_failures_left_over(&job->failures, job->namespaces[i].name);
        if (name)
            kt_job_warn(job, "%s is of an earlier run: this one had nothing to list there", name);
        free(name);
        if (job->failures.named)
            return;
    }
}

void kt_job_warn_of_lists(struct kt_job *job)
{
    warn_of_unmet(job);
    warn_of_old_lists(job);
}
