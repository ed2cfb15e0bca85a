/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/commands.h"
#include "tools/jobs_screen.h"
#include "tools/session.h"
#include "tools/status_screen.h"

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
        .backend = s->backend ? s->backend : kt_from_environment("KEYTURN_BACKEND"),
        .cpu_disable = kt_from_environment("KEYTURN_CPU_DISABLE"),
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
    struct kt_session session;
    struct kt_error err;
    int exit;
    if (!kt_session_begin(&session, command, argc, argv, &exit))
        goto done;
    if (session.settings.jobs)
        exit = kt_jobs_print(&session.screen, &session.settings);
    else if (kt_session_load(&session, &err) == KT_OK)
        exit = run(&session.settings, &session.inputs, &session.report, &session.screen);
    else
        exit = kt_screen_refused(&session.screen, &err);
done:
    kt_session_end(&session);
    return exit;
}
