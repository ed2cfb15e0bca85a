/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/summary.h"

#include <string.h>

#include "tools/format.h"
#include "tools/table.h"

static uint64_t findings_of(const struct kt_path_counts *path)
{
    return path->plaintext + path->wrong_key + path->wrong_algorithm + path->wrong_type + path->unauthentic +
           path->no_key;
}

static struct kt_path_counts sum_paths(const struct kt_ns_counts *ns)
{
    struct kt_path_counts sum = {0};
    for (size_t i = 0; i < ns->paths_count; i++) {
        sum.authentic += ns->paths[i].authentic;
        sum.plaintext += ns->paths[i].plaintext;
        sum.wrong_key += ns->paths[i].wrong_key;
        sum.wrong_algorithm += ns->paths[i].wrong_algorithm;
        sum.wrong_type += ns->paths[i].wrong_type;
        sum.unauthentic += ns->paths[i].unauthentic;
        sum.no_key += ns->paths[i].no_key;
    }
    return sum;
}

/* "600,000 authentic, 0 plaintext, 0 wrong key": the first three always, the others when there are any. */
static void describe_paths(const struct kt_path_counts *sum, char *out, size_t nbytes)
{
    const struct {
        const char *name;
        uint64_t count;
        bool always;
    } kinds[] = {
        {"authentic", sum->authentic, true},       {"plaintext", sum->plaintext, true},
        {"wrong key", sum->wrong_key, true},       {"wrong algorithm", sum->wrong_algorithm, false},
        {"wrong type", sum->wrong_type, false},    {"unauthentic", sum->unauthentic, false},
        {"without their key", sum->no_key, false},
    };
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && at < nbytes; i++)
        if (kinds[i].always || kinds[i].count)
            at += (size_t)snprintf(out + at, nbytes - at, "%s%s %s", at ? ", " : "",
                                   kt_count_text(kinds[i].count).s, kinds[i].name);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* The documents' cells of encrypt and decrypt. sum: of all namespaces, which says what columns there are. */
static void data_cells(struct kt_table *table, const struct kt_job_options *options,
                       const struct kt_ns_counts *ns, const struct kt_ns_counts *sum)
{
    bool encrypt = options->kind == KT_JOB_ENCRYPT, dry = options->dry_run;
    kt_table_cell(table, "%s", ns->ns);
    kt_table_cell(table, "%s document%s", kt_count_text(ns->documents).s, plural(ns->documents));
    kt_table_cell(table, "%s value%s %s", kt_count_text(ns->values).s, plural(ns->values),
                  dry       ? (encrypt ? "to encrypt" : "to decrypt")
                  : encrypt ? "encrypted"
                            : "decrypted");
    if (sum->already)
        kt_table_cell(table, "%s already %s", kt_count_text(ns->already).s, encrypt ? "encrypted" : "plain");
    if (sum->left)
        kt_table_cell(table, "%s left as they are", kt_count_text(ns->left).s);
    kt_table_cell(table, "%s %s", kt_count_text(ns->failed).s, dry ? "would fail" : "failed");
    if (dry && encrypt) {
        kt_table_cell(table, "%s -> %s", kt_size_text(ns->nbytes_in).s, kt_size_text(ns->nbytes_out).s);
        kt_table_cell(table, "largest document %s", kt_size_text(ns->largest_nbytes_out).s);
    }
}

static void machine_cells(struct kt_table *table, const struct kt_job_result *result)
{
    kt_table_cell(table, "%s", kt_duration_text(result->seconds).s);
    kt_table_cell(table, "%s, %d thread%s", result->backend ? result->backend : "no engine", result->threads,
                  plural((uint64_t)result->threads));
}

static struct kt_ns_counts sum_namespaces(const struct kt_job_result *result)
{
    struct kt_ns_counts sum = {.ns = "together"};
    for (size_t i = 0; i < result->namespaces_count; i++) {
        const struct kt_ns_counts *ns = &result->namespaces[i];
        sum.documents += ns->documents;
        sum.values += ns->values;
        sum.already += ns->already;
        sum.left += ns->left;
        sum.failed += ns->failed;
        sum.nbytes_in += ns->nbytes_in;
        sum.nbytes_out += ns->nbytes_out;
        if (ns->largest_nbytes_out > sum.largest_nbytes_out)
            sum.largest_nbytes_out = ns->largest_nbytes_out;
    }
    return sum;
}

static void print_data(FILE *out, const struct kt_job_options *options, const struct kt_job_result *result)
{
    struct kt_table table = {0};
    struct kt_ns_counts sum = sum_namespaces(result);
    for (size_t i = 0; i < result->namespaces_count; i++) {
        kt_table_row(&table);
        data_cells(&table, options, &result->namespaces[i], &sum);
    }
    if (result->namespaces_count == 0) {
        kt_table_row(&table);
        kt_table_cell(&table, "0 documents of namespaces to work on");
    } else if (result->namespaces_count > 1) {
        kt_table_row(&table);
        data_cells(&table, options, &sum, &sum);
    }
    machine_cells(&table, result);
    kt_table_print(&table, out);
}

static void print_verify(FILE *out, const struct kt_job_result *result)
{
    char text[400];
    struct kt_table table = {0};
    for (size_t i = 0; i < result->namespaces_count; i++) {
        const struct kt_ns_counts *ns = &result->namespaces[i];
        struct kt_path_counts sum = sum_paths(ns);
        uint64_t values = sum.authentic + findings_of(&sum);
        describe_paths(&sum, text, sizeof text);
        kt_table_row(&table);
        kt_table_cell(&table, "%s", ns->ns);
        kt_table_cell(&table, "%s document%s", kt_count_text(ns->documents).s, plural(ns->documents));
        kt_table_cell(&table, "%s value%s: %s", kt_count_text(values).s, plural(values), text);
    }
    if (result->namespaces_count == 0) {
        kt_table_row(&table);
        kt_table_cell(&table, "0 documents of namespaces to work on");
    }
    kt_table_print(&table, out);

    for (size_t i = 0; i < result->namespaces_count; i++) {
        const struct kt_ns_counts *ns = &result->namespaces[i];
        for (size_t k = 0; k < ns->paths_count; k++) {
            if (findings_of(&ns->paths[k]) == 0)
                continue;
            describe_paths(&ns->paths[k], text, sizeof text);
            kt_table_row(&table);
            kt_table_cell(&table, "  %s", ns->ns);
            kt_table_cell(&table, "%s", ns->paths[k].path);
            kt_table_cell(&table, "%s", text);
        }
    }
    kt_table_print(&table, out);
}

static void print_rewrap(FILE *out, const struct kt_job_options *options, const struct kt_job_result *result)
{
    const struct kt_key_counts *keys = &result->keys;
    bool dry = options->dry_run;
    uint64_t done = dry ? keys->matched : keys->rewrapped;
    struct kt_table table = {0};
    for (size_t i = 0; i < keys->cmks_count; i++) {
        uint64_t count = dry ? keys->cmks[i].matched : keys->cmks[i].rewrapped;
        kt_table_row(&table);
        kt_table_cell(&table, "%s DEK%s", kt_count_text(count).s, plural(count));
        kt_table_cell(&table, "%s -> %s", keys->cmks[i].from, keys->cmks[i].to);
    }
    if (keys->cmks_count != 1) {
        kt_table_row(&table);
        kt_table_cell(&table, "%s DEK%s", kt_count_text(done).s, plural(done));
        kt_table_cell(&table, keys->cmks_count ? "together" : "to rewrap");
    }
    if (dry)
        kt_table_cell(&table, "would be rewrapped");
    else if (done)
        kt_table_cell(&table, "%s opened again and equal", kt_count_text(keys->proven).s);
    kt_table_cell(&table, "%s %s", kt_count_text(keys->failed).s, dry ? "would fail" : "failed");
    if (keys->read > done + keys->failed)
        kt_table_cell(&table, "%s others %s", kt_count_text(keys->read - done - keys->failed).s,
                      dry ? "would be copied" : "copied");
    kt_table_print(&table, out);
}

void kt_summary_print(FILE *out, const struct kt_job_options *options, const struct kt_job_result *result)
{
    switch (options->kind) {
    case KT_JOB_ENCRYPT:
    case KT_JOB_DECRYPT:
        print_data(out, options, result);
        break;
    case KT_JOB_VERIFY:
        print_verify(out, result);
        break;
    case KT_JOB_REWRAP:
        print_rewrap(out, options, result);
        break;
    }
}

int kt_summary_percent(const struct kt_job_progress *progress)
{
    if (progress->nbytes_total == 0)
        return -1;
    if (progress->nbytes_done >= progress->nbytes_total)
        return 100;
    return (int)((double)progress->nbytes_done * 100 / (double)progress->nbytes_total);
}

static bool resumable(const struct kt_job_options *options)
{
    return options->kind != KT_JOB_VERIFY && !options->dry_run && options->to &&
           strcmp(options->to, "-") != 0;
}

static uint64_t done_so_far(const struct kt_job_options *options, const struct kt_job_result *result)
{
    return options->kind == KT_JOB_REWRAP ? result->keys.read : sum_namespaces(result).documents;
}

static void ending_failed(struct kt_screen *screen, const struct kt_job_options *options,
                          const struct kt_job_result *result)
{
    bool keys = options->kind == KT_JOB_REWRAP;
    uint64_t failed = keys ? result->keys.failed : sum_namespaces(result).failed;
    const char *file = result->failures_file;
    kt_screen_note(screen, "exit 1: %s %s%s %s%s%s%s", kt_count_text(failed).s, keys ? "DEK" : "document",
                   plural(failed),
                   options->dry_run ? "would stay unchanged"
                   : failed == 1    ? "is as it was"
                                    : "are as they were",
                   file && failed > KT_SCREEN_FAILURES ? " (the first 10 above, all in "
                   : file                              ? " (listed in "
                                                       : "",
                   file ? file : "", file ? ")" : "");
    if (file && !options->dry_run)
        kt_screen_note(
            screen,
            "  next   mend what the list names, then the same command with --only %s and another --to", file);
}

static void ending_stopped(struct kt_screen *screen, const struct kt_job_options *options,
                           const struct kt_job_result *result, const struct kt_job_progress *last,
                           const struct kt_error *err)
{
    char message[700], share[16] = "";
    const char *unit = options->kind == KT_JOB_REWRAP ? "DEK" : "document";
    uint64_t done = done_so_far(options, result);
    int at = 0, percent = kt_summary_percent(last);
    if (err->status == KT_E_LIMIT)
        at = snprintf(message, sizeof message, "%s; stopped", err->message);
    else
        at = snprintf(message, sizeof message, "Stopped");
    if (percent >= 0)
        snprintf(share, sizeof share, " (%d%%)", percent);
    snprintf(message + at, sizeof message - (size_t)at, " at %s %s%s%s%s", kt_count_text(done).s, unit,
             plural(done), share, resumable(options) ? ", all written" : "");
    kt_screen_error(screen, 3, message,
                    resumable(options) ? "The same command goes on from here."
                                       : "There is nothing to go on from: the same command begins anew.");
}

static void ending_broken(struct kt_screen *screen, const struct kt_job_options *options,
                          const struct kt_error *err)
{
    const char *ending = "The same command goes on from what is written.";
    if (!resumable(options))
        ending = "There is nothing to go on from: the same command begins anew.";
    else if (kt_status_category(err->status) == KT_CAT_DATA)
        ending = "Nothing has the output's name. Mend the input, then add --forget.";
    kt_screen_error(screen, 4, err->message, ending);
}

void kt_summary_ending(struct kt_screen *screen, const struct kt_settings *settings,
                       const struct kt_job_options *options, const struct kt_job_result *result,
                       const struct kt_job_progress *last, const struct kt_error *err)
{
    if (result->closed && result->resumed)
        kt_screen_note(screen, "  went on from an earlier run; the time is this run's");
    switch (result->exit) {
    case 0:
        break;
    case 1:
        ending_failed(screen, options, result);
        break;
    case 2:
        kt_screen_refused(screen, err);
        return;
    case 3:
        ending_stopped(screen, options, result, last, err);
        return;
    case 5:
        kt_screen_note(screen, "exit 5: the values above are not as the schema wants them%s%s",
                       result->failures_file ? "; each is listed in " : "",
                       result->failures_file ? result->failures_file : "");
        return;
    default:
        ending_broken(screen, options, err);
        return;
    }
    if (options->dry_run)
        kt_screen_note(screen, "Dry run: nothing was written. The same command without --dry-run does it.");
    else if (result->exit == 0 && options->kind == KT_JOB_ENCRYPT && resumable(options) && settings->config)
        kt_screen_advice(screen, "  next   keyturn verify --config %s --from %s", settings->config,
                         options->to);
}
