/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/help.h"
#include "tools/inputs.h"
#include "tools/jobs_screen.h"
#include "tools/report.h"
#include "tools/screen.h"
#include "tools/status_screen.h"

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static struct kt_audit_options make_options(const struct kt_settings *s, const struct kt_inputs *inputs,
                                            const struct kt_log *log)
{
    const char *kms_name = s->kms_providers.name, *tls_name = s->tls_options.name;
    return (struct kt_audit_options){
        .key_vaults = s->key_vaults.v,
        .key_vault_namespace = s->key_vault_namespace,
        .kms_providers = kt_inputs_borrow(inputs->kms_providers, kms_name),
        .tls_options = kt_inputs_borrow(inputs->tls_options, tls_name ? tls_name : kms_name),
        .cmk = kt_inputs_borrow(inputs->cmk, s->cmk.name),
        .older_than_ms = s->older_than_ms,
        .from = s->from,
        .backend = s->backend ? s->backend : from_environment("KEYTURN_BACKEND"),
        .cpu_disable = from_environment("KEYTURN_CPU_DISABLE"),
        .kms_concurrency = (uint32_t)s->kms_concurrency,
        .kms_rate = (double)s->kms_rate,
        .log = log,
    };
}

static void write_fields(struct kt_json *json, const void *result)
{
    kt_status_report(json, result);
}

static int run(const struct kt_settings *settings, struct kt_inputs *inputs, struct kt_report *report,
               struct kt_screen *screen)
{
    struct kt_audit_options options = make_options(settings, inputs, &screen->log);
    struct kt_audit *audit = NULL;
    const struct kt_audit_result *result = NULL;
    struct kt_error err = {.status = KT_OK}, report_err;
    int exit = 2;
    enum kt_status status = kt_audit_run(&audit, &options, &err);
    if (status == KT_OK) {
        result = kt_audit_result(audit);
        kt_status_print(stdout, &options, result);
        exit = kt_screen_flush(result->exit);
    } else {
        exit = kt_status_category(status) == KT_CAT_USAGE || status == KT_E_DENIED ? 2 : 4;
        kt_screen_error(screen, exit, err.message, "Nothing was touched.");
    }
    struct kt_report_head head = {.job = "status", .exit = exit, .failure = &err};
    if (kt_report_write_fields(report, &head, result ? write_fields : NULL, result, &report_err) != KT_OK) {
        kt_screen_error(screen, 4, report_err.message, "The figures are those above.");
        exit = exit == 0 ? 4 : exit;
    }
    kt_audit_free(audit);
    return exit;
}

int kt_status_command(const struct kt_cli_command *command, int argc, char **argv)
{
    struct kt_settings settings = {0};
    struct kt_inputs inputs = {0};
    struct kt_report report = {0};
    struct kt_screen screen;
    struct kt_error err;
    bool help;
    int exit = 2;

    enum kt_status status = kt_command_line_read(command, argc, argv, &settings, &help, &err);
    bool json = settings.log_format && strcmp(settings.log_format, "json") == 0;
    kt_screen_open(&screen, json, settings.quiet, settings.verbose);
    if (status == KT_OK && help) {
        kt_help_command(stdout, command);
        exit = kt_screen_flush(0);
        goto done;
    }
    if (status == KT_OK && settings.jobs) {
        exit = kt_jobs_print(&screen, &settings);
        goto done;
    }
    if (status == KT_OK)
        status = kt_report_open(&report, settings.report, &err);
    if (status == KT_OK)
        status = kt_inputs_load(&inputs, &settings, &screen, &err);
    if (status == KT_OK)
        exit = run(&settings, &inputs, &report, &screen);
    else
        kt_screen_refused(&screen, &err);
done:
    kt_report_close(&report);
    kt_screen_close(&screen);
    kt_inputs_free(&inputs);
    kt_settings_cleanup(&settings);
    return exit;
}
