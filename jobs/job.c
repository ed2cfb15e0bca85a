/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/job.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "jobs/live.h"
#include "jobs/namespaces.h"
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

enum kt_status kt_job_run(struct kt_job *job, struct kt_error *err)
{
    job->started_ns = kt_clock_ns() - job->opened_ns;
    enum kt_status status = job->live ? kt_live_run(job, err) : kt_team_run(&job->team, err);
    if (status == KT_OK && job->sink)
        status = kt_rewrap_check_doom(job, err);
    if (status == KT_OK)
        status = kt_failures_finish(&job->failures, err);
    if (status == KT_OK)
        kt_job_warn_of_lists(job);
    bool withheld = status == KT_OK && job->options.all_or_nothing && job->failed > 0;
    if (withheld && job->sink) {
        kt_sink_close(job->sink, true);
        job->sink = job->team.sink = NULL;
    } else if (status == KT_OK && job->sink)
        status = kt_sink_finish(job->sink, err);
    bool written = job->live && job->live->maybe_written;
    job->result.withheld = withheld || (job->options.all_or_nothing && status != KT_OK && !written);
    kt_job_fill_result(job, status);
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
