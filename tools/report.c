/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/paths.h"
#include "tools/json_out.h"

static bool is_report(const char *file)
{
    return kt_path_begins_with(file, "{\n  \"job\": ");
}

static enum kt_status not_ours(const char *file, struct kt_error *err)
{
    return kt_fail(err, KT_E_EXISTS, "--report %s exists and is no report of keyturn; name another file",
                   file);
}

static enum kt_status open_draft(struct kt_report *report, struct kt_error *err)
{
    if (asprintf(&report->draft, "%s.XXXXXX", report->file) < 0) {
        report->draft = NULL;
        return kt_fail(err, KT_E_NOMEM, "no memory for the report");
    }
    int fd = mkostemp(report->draft, O_CLOEXEC);
    if (fd < 0) {
        free(report->draft);
        report->draft = NULL;
        return kt_fail(err, KT_E_USAGE, "--report %s: %s", report->file, strerror(errno));
    }
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(fd, 0666 & ~mask) == 0)
        report->out = fdopen(fd, "w");
    if (!report->out) {
        close(fd);
        return kt_fail(err, KT_E_USAGE, "--report %s: %s", report->file, strerror(errno));
    }
    return KT_OK;
}

enum kt_status kt_report_open(struct kt_report *report, const char *file, struct kt_error *err)
{
    struct stat st;
    *report = (struct kt_report){.file = file};
    if (!file)
        return KT_OK;
    bool there = stat(file, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return kt_fail(err, KT_E_EXISTS, "--report %s is a folder; name a file", file);
    if (there && !S_ISREG(st.st_mode)) {
        report->out = fopen(file, "we");
        return report->out ? KT_OK : kt_fail(err, KT_E_USAGE, "--report %s: %s", file, strerror(errno));
    }
    if (there && !is_report(file))
        return not_ours(file, err);
    return open_draft(report, err);
}

static void write_paths(struct kt_json *json, const struct kt_ns_counts *ns, enum kt_job_kind kind)
{
    kt_json_begin(json, "paths", '{');
    for (size_t i = 0; i < ns->paths_count; i++) {
        const struct kt_path_counts *path = &ns->paths[i];
        kt_json_begin(json, path->path, '{');
        if (kind != KT_JOB_VERIFY) {
            kt_json_count(json, "values", path->authentic);
            kt_json_end(json, '{');
            continue;
        }
        kt_json_count(json, "authentic", path->authentic);
        kt_json_count(json, "plaintext", path->plaintext);
        kt_json_count(json, "wrongKey", path->wrong_key);
        kt_json_count(json, "wrongAlgorithm", path->wrong_algorithm);
        kt_json_count(json, "wrongType", path->wrong_type);
        kt_json_count(json, "unauthentic", path->unauthentic);
        kt_json_count(json, "noKey", path->no_key);
        kt_json_end(json, '{');
    }
    kt_json_end(json, '{');
}

static void write_namespaces(struct kt_json *json, const struct kt_job_result *result, enum kt_job_kind kind)
{
    kt_json_begin(json, "namespaces", '{');
    for (size_t i = 0; i < result->namespaces_count; i++) {
        const struct kt_ns_counts *ns = &result->namespaces[i];
        kt_json_begin(json, ns->ns, '{');
        kt_json_count(json, "documents", ns->documents);
        kt_json_count(json, "changed", ns->changed);
        kt_json_count(json, "values", ns->values);
        kt_json_count(json, "already", ns->already);
        kt_json_count(json, "left", ns->left);
        kt_json_count(json, "failed", ns->failed);
        kt_json_count(json, "redone", ns->redone);
        kt_json_count(json, "aborted", ns->aborted);
        kt_json_count(json, "bytesIn", ns->nbytes_in);
        kt_json_count(json, "bytesOut", ns->nbytes_out);
        kt_json_count(json, "largestDocument", ns->largest_nbytes_out);
        write_paths(json, ns, kind);
        kt_json_end(json, '{');
    }
    kt_json_end(json, '{');
}

static void write_master_key(struct kt_json *json, const char *name, struct kt_span bson)
{
    kt_json_document(json, name, bson.data, bson.nbytes);
}

static void write_keys(struct kt_json *json, const struct kt_key_counts *keys)
{
    kt_json_begin(json, "keys", '{');
    kt_json_count(json, "read", keys->read);
    kt_json_count(json, "matched", keys->matched);
    kt_json_count(json, "rewrapped", keys->rewrapped);
    kt_json_count(json, "sampled", keys->sampled);
    kt_json_count(json, "proven", keys->proven);
    kt_json_count(json, "failed", keys->failed);
    kt_json_begin(json, "cmks", '[');
    for (size_t i = 0; i < keys->cmks_count; i++) {
        kt_json_begin(json, NULL, '{');
        kt_json_text(json, "from", keys->cmks[i].from);
        kt_json_text(json, "to", keys->cmks[i].to);
        write_master_key(json, "fromMasterKey", keys->cmks[i].from_master_key);
        write_master_key(json, "toMasterKey", keys->cmks[i].to_master_key);
        kt_json_count(json, "matched", keys->cmks[i].matched);
        kt_json_count(json, "rewrapped", keys->cmks[i].rewrapped);
        kt_json_end(json, '{');
    }
    kt_json_end(json, '[');
    kt_json_end(json, '{');
}

void kt_report_kms(struct kt_json *json, const struct kt_kms_counts *kms)
{
    kt_json_begin(json, "kms", '{');
    kt_json_count(json, "calls", kms->calls);
    kt_json_count(json, "retries", kms->retries);
    kt_json_count(json, "throttled", kms->throttled);
    kt_json_seconds(json, "p50Ms", kms->p50_ms);
    kt_json_seconds(json, "p99Ms", kms->p99_ms);
    kt_json_end(json, '{');
}

static void write_unwrapped(struct kt_json *json, const struct kt_job_result *result)
{
    kt_json_begin(json, "unwrapped", '[');
    for (size_t i = 0; i < result->kms_lines_count; i++) {
        const struct kt_kms_plan_line *line = &result->kms_lines[i];
        kt_json_begin(json, NULL, '{');
        kt_json_text(json, "provider", line->provider);
        kt_json_text(json, "cmk", line->cmk);
        kt_json_count(json, "deks", line->deks);
        kt_json_count(json, "calls", line->calls);
        kt_json_end(json, '{');
    }
    kt_json_end(json, '[');
}

static void write_result(struct kt_json *json, const struct kt_job_options *options,
                         const struct kt_job_result *result)
{
    kt_json_bool(json, "closed", result->closed);
    kt_json_bool(json, "resumed", result->resumed);
    kt_json_text(json, "backend", result->backend);
    kt_json_count(json, "threads", (uint64_t)result->threads);
    kt_json_text(json, "failuresFile", result->failures_file);
    kt_json_begin(json, "warnings", '[');
    for (const char *const *warning = result->warnings; warning && *warning; warning++)
        kt_json_text(json, NULL, *warning);
    kt_json_end(json, '[');
    if (options->kind == KT_JOB_REWRAP) {
        kt_json_bool(json, "withheld", result->withheld);
        write_keys(json, &result->keys);
    } else
        write_namespaces(json, result, options->kind);
    if (result->has_kms)
        kt_report_kms(json, &result->kms);
    if (result->has_kms && options->kind != KT_JOB_REWRAP)
        write_unwrapped(json, result);
}

/* The job may have made a file of that name since the report was opened. */
static bool publish(const struct kt_report *report)
{
    int rc = renameat2(AT_FDCWD, report->draft, AT_FDCWD, report->file, RENAME_NOREPLACE);
    bool no_such_flag = rc != 0 && (errno == EINVAL || errno == ENOSYS);
    if (rc == 0 || (errno != EEXIST && !no_such_flag))
        return rc == 0;
    if (access(report->file, F_OK) == 0 && !is_report(report->file)) {
        errno = EEXIST;
        return false;
    }
    return rename(report->draft, report->file) == 0;
}

static enum kt_status settle(struct kt_report *report, struct kt_error *err)
{
    bool whole = fflush(report->out) == 0 && !ferror(report->out);
    if (whole && report->draft)
        whole = fsync(fileno(report->out)) == 0 && publish(report);
    if (!whole && errno == EEXIST)
        return not_ours(report->file, err);
    if (!whole)
        return kt_fail(err, KT_E_IO, "--report %s: %s", report->file, strerror(errno));
    free(report->draft);
    report->draft = NULL;
    return KT_OK;
}

enum kt_status kt_report_write_fields(struct kt_report *report, const struct kt_report_head *head,
                                      kt_report_fields_fn fields, const void *context, struct kt_error *err)
{
    if (!report->out)
        return KT_OK;
    struct kt_json json = {.out = report->out, .lines = true};
    kt_json_begin(&json, NULL, '{');
    kt_json_text(&json, "job", head->job);
    kt_json_count(&json, "exit", (uint64_t)head->exit);
    kt_json_seconds(&json, "seconds", head->seconds);
    kt_json_bool(&json, "dryRun", head->dry_run);
    if (head->failure->status != KT_OK) {
        kt_json_text(&json, "status", kt_status_name(head->failure->status));
        kt_json_text(&json, "error", head->failure->message);
    }
    if (fields)
        fields(&json, context);
    kt_json_end(&json, '{');
    fputc('\n', report->out);
    return settle(report, err);
}

struct job_fields {
    const struct kt_job_options *options;
    const struct kt_job_result *result;
};

static void write_job(struct kt_json *json, const void *context)
{
    const struct job_fields *fields = context;
    write_result(json, fields->options, fields->result);
}

enum kt_status kt_report_write(struct kt_report *report, const char *job, int exit,
                               const struct kt_job_options *options, const struct kt_job_result *result,
                               const struct kt_error *failure, struct kt_error *err)
{
    struct job_fields fields = {options, result};
    struct kt_report_head head = {.job = job,
                                  .exit = exit,
                                  .seconds = result ? result->seconds : 0,
                                  .dry_run = options->dry_run,
                                  .failure = failure};
    return kt_report_write_fields(report, &head, result ? write_job : NULL, &fields, err);
}

void kt_report_close(struct kt_report *report)
{
    if (report->out)
        fclose(report->out);
    if (report->draft)
        unlink(report->draft);
    free(report->draft);
    *report = (struct kt_report){0};
}
