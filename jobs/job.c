/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/job.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "jobs/live.h"
#include "jobs/namespaces.h"
#include "jobs/only.h"
#include "jobs/oplog.h"
#include "jobs/resume.h"
#include "jobs/rewrap.h"
#include "jobs/setup.h"
#include "keys/strategy_kms.h"

/* Failed documents that are also logged; the file has them all. */
#define LOGGED_FAILURES 10

static void route(void *context, struct kt_job_batch *batch)
{
    struct kt_job *job = context;
    if (batch->piece.kind != KT_PIECE_DOCS || batch->piece.nbytes == 0)
        return;
    batch->ns = batch->entry->is_oplog ? &job->oplog : kt_job_entry_namespace(job, batch->entry);
}

static enum kt_status process(void *context, void *worker, struct kt_job_batch *batch, bool *parked)
{
    struct kt_job *job = context;
    *parked = false;
    batch->error.message[0] = 0;
    enum kt_status status = batch->ns == &job->oplog ? kt_oplog_check(job, batch)
                                                     : job->command->process(job, worker, batch, parked);
    if (status != KT_OK && !batch->error.message[0])
        kt_fail(&batch->error, status, "%s: %s", batch->ns->name, kt_status_text(status));
    return status;
}

/* A line of the failures file as a sentence. */
static void log_failure(const struct kt_job *job, const char *line, size_t nbytes)
{
    bson_iter_t iter;
    const char *path = NULL, *reason = "";
    struct kt_span id;
    char id_text[200] = "(none)";
    bson_t *doc = bson_new_from_json((const uint8_t *)line, (ssize_t)nbytes, NULL);
    if (!doc)
        return;
    if (bson_iter_init_find(&iter, doc, "path") && BSON_ITER_HOLDS_UTF8(&iter))
        path = bson_iter_utf8(&iter, NULL);
    if (bson_iter_init_find(&iter, doc, "reason") && BSON_ITER_HOLDS_UTF8(&iter))
        reason = bson_iter_utf8(&iter, NULL);
    const char *ns = bson_iter_init_find(&iter, doc, "ns") && BSON_ITER_HOLDS_UTF8(&iter)
                         ? bson_iter_utf8(&iter, NULL)
                         : "";
    if (kt_doc_id(bson_get_data(doc), 0, &id)) {
        struct kt_doc whole = {.nbytes = doc->len};
        kt_doc_id_text(bson_get_data(doc), &whole, id_text, sizeof id_text);
    }
    kt_log(job->log, KT_LOG_WARN, "%s _id %s: %s%s%s%s", ns, id_text, path ? path : "", path ? ": " : "",
           reason, job->command->writes ? "; document left as it was" : "");
    bson_destroy(doc);
}

static void log_failures(struct kt_job *job, const struct kt_buf *lines)
{
    const char *at = (const char *)lines->data, *end = at + lines->nbytes;
    while (at < end && job->logged < LOGGED_FAILURES) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            return;
        log_failure(job, at, (size_t)(newline - at));
        at = newline + 1;
        job->logged++;
    }
}

enum kt_status kt_job_count_batch(struct kt_job *job, struct kt_job_batch *batch, struct kt_error *err)
{
    kt_counts_add(&batch->ns->counts, &batch->counts);
    if (job->command->written)
        job->command->written(job, batch);
    log_failures(job, &batch->failures);
    uint64_t failed = batch->counts.ns.failed + batch->counts.keys.failed;
    job->failed += failed;
    job->failed_now += failed;
    if (job->options.has_max_failures && job->failed_now > job->options.max_failures)
        return kt_fail(err, KT_E_LIMIT, "%llu %s%s failed, more than --max-failures %llu allows",
                       (unsigned long long)job->failed_now,
                       job->command == &kt_command_rewrap ? "DEK" : "document",
                       job->failed_now == 1 ? "" : "s", (unsigned long long)job->options.max_failures);
    return KT_OK;
}

static enum kt_status written(void *context, struct kt_job_batch *batch, struct kt_error *err)
{
    struct kt_job *job = context;
    if (!batch->ns || batch->ns == &job->oplog)
        return KT_OK;
    if (!job->options.dry_run) {
        struct kt_span lines = kt_span_of(batch->failures.data, batch->failures.nbytes);
        enum kt_status status = kt_failures_put(&job->failures, batch->ns->name, lines, err);
        if (status != KT_OK)
            return status;
    }
    return kt_job_count_batch(job, batch, err);
}

/* What a doomed job puts out are copies, which a later run, doomed no more, must not take for its own. */
static enum kt_status checkpoint(void *context, const bson_t *position, struct kt_error *err)
{
    struct kt_job *job = context;
    return job->doomed ? KT_OK : kt_job_checkpoint(job, position, err);
}

void kt_job_warn(struct kt_job *job, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    kt_log(job->log, KT_LOG_WARN, "%s", text);
    char **warnings = realloc(job->warnings, (job->warnings_count + 2) * sizeof *warnings);
    if (!warnings) {
        free(text);
        return;
    }
    warnings[job->warnings_count++] = text;
    warnings[job->warnings_count] = NULL;
    job->warnings = warnings;
}

enum kt_status kt_job_open(struct kt_job **out, const struct kt_job_options *options, struct kt_error *err)
{
    *out = NULL;
    struct kt_job *job = calloc(1, sizeof *job);
    if (!job)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    job->options = *options;
    job->log = options->log;
    job->started_ns = kt_clock_ns();
    job->team.work = (struct kt_team_work){
        .context = job, .route = route, .process = process, .written = written, .checkpoint = checkpoint};
    enum kt_status status = kt_job_set_up(job, err);
    if (status != KT_OK) {
        kt_job_close(job);
        return status;
    }
    job->opened_ns = kt_clock_ns() - job->started_ns;
    *out = job;
    return KT_OK;
}

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

static void fill_result(struct kt_job *job, enum kt_status status)
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

enum kt_status kt_job_run(struct kt_job *job, struct kt_error *err)
{
    job->started_ns = kt_clock_ns() - job->opened_ns;
    enum kt_status status = job->live ? kt_live_run(job, err) : kt_team_run(&job->team, err);
    if (status == KT_OK && job->sink)
        status = kt_rewrap_check_doom(job, err);
    if (status == KT_OK)
        status = kt_failures_finish(&job->failures, err);
    if (status == KT_OK) {
        warn_of_unmet(job);
        warn_of_old_lists(job);
    }
    bool withheld = status == KT_OK && job->options.all_or_nothing && job->failed > 0;
    if (withheld && job->sink) {
        kt_sink_close(job->sink, true);
        job->sink = job->team.sink = NULL;
    } else if (status == KT_OK && job->sink)
        status = kt_sink_finish(job->sink, err);
    job->result.withheld = withheld;
    fill_result(job, status);
    return status;
}

void kt_job_stop(struct kt_job *job)
{
    atomic_store(&job->team.stop, true);
    if (job->source)
        kt_source_interrupt(job->source);
}

void kt_job_stop_waiting(struct kt_job *job)
{
    kt_kms_strategies_cancel(job->kms);
}

bool kt_job_pause(struct kt_job *job, bool pause)
{
    return job->live ? atomic_exchange(&job->live->paused, pause) : false;
}

void kt_job_progress(struct kt_job *job, struct kt_job_progress *progress)
{
    struct kt_team *team = &job->team;
    struct kt_kms_stats stats = {0};
    bool has_kms = kt_kms_strategies_stats(job->kms, &stats);
    const char *waiting_for = job->live ? kt_live_waiting_for(job->live) : kt_team_waiting_for(team);
    /* Calls that wait although more could be in flight wait for the quota. */
    if (waiting_for && strcmp(waiting_for, "KMS") == 0 && stats.queued > 0 &&
        (stats.throttled > 0 || job->options.kms_rate > 0))
        waiting_for = "KMS quota";
    *progress = (struct kt_job_progress){.documents = atomic_load(&team->documents),
                                         .values = atomic_load(&team->values),
                                         .failed = atomic_load(&team->failed),
                                         .nbytes_done = atomic_load(&team->nbytes_done),
                                         .nbytes_total = atomic_load(&team->nbytes_total),
                                         .seconds = (double)(kt_clock_ns() - job->started_ns) / 1e9,
                                         .throttled = stats.throttled,
                                         .in_flight = stats.in_flight,
                                         .redone = job->live ? atomic_load(&job->live->redone) : 0,
                                         .resting = !job->live || kt_live_resting(job->live),
                                         .has_kms = has_kms,
                                         .waiting_for = waiting_for};
}

const struct kt_job_result *kt_job_result(const struct kt_job *job)
{
    return &job->result;
}

void kt_job_close(struct kt_job *job)
{
    if (!job)
        return;
    kt_job_tear_down(job);
    for (size_t i = 0; i < job->warnings_count; i++)
        free(job->warnings[i]);
    free(job->warnings);
    free(job->result_namespaces);
    free(job);
}
