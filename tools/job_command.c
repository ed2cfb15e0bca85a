/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "keyturn/job.h"
#include "tools/commands.h"
#include "tools/ending.h"
#include "tools/kms_screen.h"
#include "tools/option_table.h"
#include "tools/plan_screen.h"
#include "tools/server.h"
#include "tools/session.h"
#include "tools/summary.h"
#include "tools/watch.h"

static enum kt_job_kind kind_of(const struct kt_cli_command *command)
{
    switch (command->bit) {
    case KT_CMD_ENCRYPT:
        return KT_JOB_ENCRYPT;
    case KT_CMD_DECRYPT:
        return KT_JOB_DECRYPT;
    case KT_CMD_VERIFY:
        return KT_JOB_VERIFY;
    default:
        return KT_JOB_REWRAP;
    }
}

static bool is_given(const struct kt_settings *settings, const char *name)
{
    return settings->given[kt_option_index(kt_option_find(name, strlen(name), false))] != KT_NOT_GIVEN;
}

static bool works_on_server(const struct kt_cli_command *command, const struct kt_settings *settings)
{
    return kt_store_is_server(command->bit == KT_CMD_REWRAP ? settings->key_vault : settings->from);
}

/* A configuration file may serve jobs of both sorts; what is typed is meant. */
static enum kt_status check_server_options(const struct kt_cli_command *command,
                                           const struct kt_settings *settings, struct kt_error *err)
{
    static const char *const names[] = {"partition", "accept", "checkpoint", "max-docs-per-second", "backup"};
    if (works_on_server(command, settings))
        return KT_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct kt_option *option = kt_option_find(names[i], strlen(names[i]), false);
        if (settings->given[kt_option_index(option)] == KT_GIVEN_COMMAND)
            return kt_fail(err, KT_E_USAGE,
                           "--%s is for jobs on a server and does nothing on files; leave it out", names[i]);
    }
    return KT_OK;
}

static struct kt_job_options make_options(const struct kt_cli_command *command, const struct kt_settings *s,
                                          const struct kt_inputs *inputs, const struct kt_log *log)
{
    const char *kms_name = s->kms_providers.name, *tls_name = s->tls_options.name;
    return (struct kt_job_options){
        .kind = kind_of(command),
        .from = s->from,
        .to = s->to,
        .key_vault = s->key_vault,
        .key_vault_namespace = s->key_vault_namespace,
        .kms_providers = kt_inputs_borrow(inputs->kms_providers, kms_name),
        .tls_options = kt_inputs_borrow(inputs->tls_options, tls_name ? tls_name : kms_name),
        .schema_map = kt_inputs_borrow(inputs->schema_map, s->schema_map.name),
        .ns_include = s->ns_include.v,
        .ns_exclude = s->ns_exclude.v,
        .provider = s->provider,
        .master_key = kt_inputs_borrow(inputs->master_key, s->master_key.name),
        .filter = kt_inputs_borrow(inputs->filter, s->filter.name),
        .query = kt_inputs_borrow(command->bit == KT_CMD_REWRAP ? NULL : inputs->query, s->query.name),
        .older_than_ms = s->older_than_ms,
        .failures = s->failures,
        .only = s->only,
        .threads = (int)s->threads,
        .kms_concurrency = (uint32_t)s->kms_concurrency,
        .kms_rate = (double)s->kms_rate,
        .backend = s->backend ? s->backend : kt_from_environment("KEYTURN_BACKEND"),
        .cpu_disable = kt_from_environment("KEYTURN_CPU_DISABLE"),
        .max_failures = s->max_failures,
        .has_max_failures = is_given(s, "max-failures"),
        .schema_from_server = s->schema_from_server,
        .dry_run = s->dry_run,
        .forget = s->forget,
        .all_or_nothing = s->all_or_nothing,
        .checkpoint = s->checkpoint,
        .backup = s->backup,
        .max_docs_per_second = (double)s->max_docs_per_second,
        .accept = s->accept.v,
        .leave_unencryptable = s->on_unencryptable && strcmp(s->on_unencryptable, "leave") == 0,
        .log = log,
    };
}

/* Whether data on a server is going to be written in place. */
static bool changes_server(const struct kt_cli_command *command, const struct kt_settings *settings)
{
    bool writes = settings->to ? kt_store_is_server(settings->to) : works_on_server(command, settings);
    return command->bit != KT_CMD_VERIFY && !settings->dry_run && writes;
}

/* Shows what is going to happen, and asks. KT_OK: it may begin. */
static enum kt_status show_plan(struct kt_job *job, const struct kt_job_options *options,
                                const struct kt_settings *settings, bool changes, struct kt_screen *screen,
                                struct kt_error *err)
{
    char question[300] = "Begin?";
    struct kt_job_plan plan;
    struct kt_kms_plan kms_plan;
    FILE *out = options->to && strcmp(options->to, "-") == 0 ? stderr : stdout;
    bool ask = changes && !settings->yes, show = (options->dry_run || changes) && (ask || !settings->quiet);
    if (show && kt_job_plan(job, &plan)) {
        kt_plan_print(out, options, &plan);
        kt_plan_question(options, &plan, question, sizeof question);
    }
    if (show && kt_job_kms_plan(job, &kms_plan))
        kt_kms_print_plan(out, options, &kms_plan);
    return ask ? kt_ask(screen, question, err) : KT_OK;
}

static int run_job(const struct kt_cli_command *command, const struct kt_settings *settings,
                   struct kt_inputs *inputs, const struct kt_job_options *options, struct kt_report *report,
                   struct kt_screen *screen)
{
    struct kt_watch watch;
    struct kt_job_progress last = {0};
    struct kt_job *job = NULL;
    struct kt_error err = {.status = KT_OK}, report_err;
    const struct kt_job_result *result = NULL;
    int exit = 2;

    if (kt_watch_start(&watch, screen, options, &err) != KT_OK)
        return kt_screen_refused(screen, &err);
    enum kt_status status = kt_job_open(&job, options, &err);
    kt_inputs_free_secrets(inputs);
    if (status == KT_OK)
        status = show_plan(job, options, settings, changes_server(command, settings), screen, &err);
    if (status == KT_OK) {
        kt_watch_job(&watch, job);
        status = kt_job_run(job, &err);
        err.status = status;
        kt_job_progress(job, &last);
        result = kt_job_result(job);
        exit = result->exit;
    } else if (status == KT_E_IO || status == KT_E_NET)
        exit = 4;
    kt_watch_stop(&watch);

    if (result) {
        /* with - as output, stdout carries data only */
        FILE *out = options->to && strcmp(options->to, "-") == 0 ? stderr : stdout;
        if (result->closed)
            kt_summary_print(out, options, result);
        exit = kt_screen_flush(exit);
        kt_ending_print(screen, settings, options, result, &last, &err);
    } else if (exit == 2)
        kt_screen_refused(screen, &err);
    else
        kt_screen_error(screen, exit, err.message, "Nothing was written.");
    if (kt_report_write(report, command->name, exit, options, result, &err, &report_err) != KT_OK) {
        exit = exit == 0 ? 4 : exit;
        kt_screen_error(screen, exit, report_err.message, "The job itself ended as said above.");
    }
    kt_job_close(job);
    return exit;
}

int kt_job_command(const struct kt_cli_command *command, int argc, char **argv)
{
    struct kt_session session;
    struct kt_guard guard = {0};
    struct kt_error err;
    enum kt_status status = KT_OK;
    int partition = 0, partitions = 0, exit;
    if (!kt_session_begin(&session, command, argc, argv, &exit))
        goto done;

    const struct kt_settings *settings = &session.settings;
    status = check_server_options(command, settings, &err);
    if (status == KT_OK && settings->partition)
        status = kt_partition_read(settings->partition, &partition, &partitions, &err);
    /* Before any key is read: what is forked now holds none. */
    if (status == KT_OK && changes_server(command, settings))
        status = kt_guard_start(&guard, &err);
    if (status == KT_OK)
        status = kt_session_load(&session, &err);
    struct kt_job_options options = make_options(command, settings, &session.inputs, &session.screen.log);
    options.guard_fd = guard.fd;
    options.partition = partition;
    options.partitions = partitions;
    if (status == KT_OK)
        exit = run_job(command, settings, &session.inputs, &options, &session.report, &session.screen);
    else {
        exit = kt_screen_refused(&session.screen, &err);
        (void)!kt_report_write(&session.report, command->name, exit, &options, NULL, &err, NULL);
    }
done:
    kt_guard_end(&guard);
    kt_session_end(&session);
    return exit;
}
