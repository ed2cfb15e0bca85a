/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bench/engine_bench.h"
#include "jobs/bench_kms.h"
#include "tools/commands.h"
#include "tools/format.h"
#include "tools/kms_screen.h"
#include "tools/option_table.h"
#include "tools/session.h"
#include "tools/table.h"

static struct kt_bench_kms_options make_options(const struct kt_settings *s, const struct kt_inputs *inputs,
                                                const struct kt_log *log)
{
    const char *kms_name = s->kms_providers.name, *tls_name = s->tls_options.name;
    return (struct kt_bench_kms_options){
        .kms_providers = kt_inputs_borrow(inputs->kms_providers, kms_name),
        .tls_options = kt_inputs_borrow(inputs->tls_options, tls_name ? tls_name : kms_name),
        .provider = s->provider,
        .master_key = kt_inputs_borrow(inputs->master_key, s->master_key.name),
        .deks = (size_t)s->keys,
        .backend = s->backend ? s->backend : kt_from_environment("KEYTURN_BACKEND"),
        .cpu_disable = kt_from_environment("KEYTURN_CPU_DISABLE"),
        .kms_concurrency = (uint32_t)s->kms_concurrency,
        .kms_rate = (double)s->kms_rate,
        .log = log,
    };
}

static uint64_t a_second(size_t deks, double seconds)
{
    return seconds > 0 ? (uint64_t)((double)deks / seconds + 0.5) : 0;
}

static void print(const struct kt_bench_kms_result *result)
{
    struct kt_table table = {0};
    printf("%s\n", result->cmk);
    kt_table_row(&table);
    kt_table_cell(&table, "  wrap");
    kt_table_cell(&table, "%s DEKs", kt_count_text(result->deks).s);
    kt_table_cell(&table, "%s", kt_duration_text(result->wrap_seconds).s);
    kt_table_cell(&table, "%s/s", kt_count_text(a_second(result->deks, result->wrap_seconds)).s);
    kt_table_row(&table);
    kt_table_cell(&table, "  unwrap");
    kt_table_cell(&table, "%s DEKs", kt_count_text(result->deks).s);
    kt_table_cell(&table, "%s", kt_duration_text(result->unwrap_seconds).s);
    kt_table_cell(&table, "%s/s", kt_count_text(a_second(result->deks, result->unwrap_seconds)).s);
    kt_table_print(&table, stdout);
    if (result->has_kms && result->kms.calls)
        kt_kms_print_counts(stdout, &result->kms);
    if (result->failed)
        printf("%s failed: %s\n", kt_count_text(result->failed).s, result->why);
}

static void write_fields(struct kt_json *json, const void *context)
{
    const struct kt_bench_kms_result *result = context;
    kt_json_text(json, "cmk", result->cmk);
    kt_json_count(json, "deks", result->deks);
    kt_json_count(json, "failed", result->failed);
    kt_json_seconds(json, "wrapSeconds", result->wrap_seconds);
    kt_json_seconds(json, "unwrapSeconds", result->unwrap_seconds);
    if (result->has_kms)
        kt_report_kms(json, &result->kms);
}

static int run(const struct kt_settings *settings, const struct kt_inputs *inputs, struct kt_report *report,
               struct kt_screen *screen)
{
    struct kt_bench_kms_options options = make_options(settings, inputs, &screen->log);
    struct kt_bench_kms_result result;
    struct kt_error err = {.status = KT_OK}, report_err;
    int exit;
    enum kt_status status = kt_bench_kms(&options, &result, &err);
    if (status == KT_OK) {
        print(&result);
        exit = kt_screen_flush(result.failed > 0);
    } else {
        exit = kt_status_category(status) == KT_CAT_RETRY ? 4 : 2;
        kt_screen_error(screen, exit, err.message, "Nothing was measured.");
    }
    struct kt_report_head head = {.job = "bench kms",
                                  .exit = exit,
                                  .seconds =
                                      status == KT_OK ? result.wrap_seconds + result.unwrap_seconds : 0,
                                  .failure = &err};
    if (kt_report_write_fields(report, &head, status == KT_OK ? write_fields : NULL, &result, &report_err) !=
        KT_OK) {
        kt_screen_error(screen, 4, report_err.message, "The figures are those above.");
        exit = exit == 0 ? 4 : exit;
    }
    return exit;
}

int kt_bench_command(const struct kt_cli_command *command, int argc, char **argv)
{
    struct kt_session session;
    struct kt_error err;
    int exit;
    if (argc > 1 && strcmp(argv[1], "engine") == 0)
        return kt_bench_engine(argc - 1, argv + 1, kt_from_environment("KEYTURN_BACKEND"),
                               kt_from_environment("KEYTURN_CPU_DISABLE"));

    /* What is measured stands where other commands have their first option. */
    bool named = argc > 1 && strcmp(argv[1], "kms") == 0;
    bool asks = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (!named && !asks) {
        kt_fail(&err, KT_E_USAGE, "bench needs what it measures: keyturn bench engine, or keyturn bench kms");
        exit = kt_session_refuse(&session, &err);
    } else if (kt_session_begin(&session, command, argc - named, argv + named, &exit)) {
        if (kt_session_load(&session, &err) == KT_OK)
            exit = run(&session.settings, &session.inputs, &session.report, &session.screen);
        else
            exit = kt_screen_refused(&session.screen, &err);
    }
    kt_session_end(&session);
    return exit;
}
