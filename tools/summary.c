/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/summary.h"

#include <string.h>

#include "tools/format.h"
#include "tools/kms_screen.h"
#include "tools/table.h"

const char *kt_summary_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

struct kt_ns_counts kt_summary_together(const struct kt_job_result *result)
{
    struct kt_ns_counts sum = {.ns = "together"};
    for (size_t i = 0; i < result->namespaces_count; i++) {
        const struct kt_ns_counts *ns = &result->namespaces[i];
        sum.documents += ns->documents;
        sum.values += ns->values;
        sum.already += ns->already;
        sum.left += ns->left;
        sum.redone += ns->redone;
        sum.failed += ns->failed;
        sum.nbytes_in += ns->nbytes_in;
        sum.nbytes_out += ns->nbytes_out;
        if (ns->largest_nbytes_out > sum.largest_nbytes_out)
            sum.largest_nbytes_out = ns->largest_nbytes_out;
    }
    return sum;
}

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

/* The documents' cells of encrypt and decrypt. sum: of all namespaces, which says what columns there are. */
static void data_cells(struct kt_table *table, const struct kt_job_options *options,
                       const struct kt_ns_counts *ns, const struct kt_ns_counts *sum)
{
    bool encrypt = options->kind == KT_JOB_ENCRYPT, dry = options->dry_run;
    kt_table_cell(table, "%s", ns->ns);
    kt_table_cell(table, "%s document%s", kt_count_text(ns->documents).s, kt_summary_plural(ns->documents));
    kt_table_cell(table, "%s value%s %s", kt_count_text(ns->values).s, kt_summary_plural(ns->values),
                  dry       ? (encrypt ? "to encrypt" : "to decrypt")
                  : encrypt ? "encrypted"
                            : "decrypted");
    if (sum->already)
        kt_table_cell(table, "%s already %s", kt_count_text(ns->already).s, encrypt ? "encrypted" : "plain");
    if (sum->left)
        kt_table_cell(table, "%s left as they are", kt_count_text(ns->left).s);
    kt_table_cell(table, "%s %s", kt_count_text(ns->failed).s, dry ? "would fail" : "failed");
    if (sum->redone)
        kt_table_cell(table, "%s redone after a racing write", kt_count_text(ns->redone).s);
    if (dry && encrypt) {
        kt_table_cell(table, "%s -> %s", kt_size_text(ns->nbytes_in).s, kt_size_text(ns->nbytes_out).s);
        kt_table_cell(table, "largest document %s", kt_size_text(ns->largest_nbytes_out).s);
    }
}

static void machine_cells(struct kt_table *table, const struct kt_job_result *result)
{
    kt_table_cell(table, "%s", kt_duration_text(result->seconds).s);
    kt_table_cell(table, "%s, %d thread%s", result->backend ? result->backend : "no engine", result->threads,
                  kt_summary_plural((uint64_t)result->threads));
}

static void print_data(FILE *out, const struct kt_job_options *options, const struct kt_job_result *result)
{
    struct kt_table table = {0};
    struct kt_ns_counts sum = kt_summary_together(result);
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
    if (options->kind == KT_JOB_ENCRYPT && !options->to && !options->dry_run && sum.values)
        fputs("  plain   still in the oplog, in backups and in free pages of the data files, until they age "
              "out\n",
              out);
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
        kt_table_cell(&table, "%s document%s", kt_count_text(ns->documents).s,
                      kt_summary_plural(ns->documents));
        kt_table_cell(&table, "%s value%s: %s", kt_count_text(values).s, kt_summary_plural(values), text);
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
        kt_table_cell(&table, "%s DEK%s", kt_count_text(count).s, kt_summary_plural(count));
        kt_table_cell(&table, "%s -> %s", keys->cmks[i].from, keys->cmks[i].to);
    }
    if (keys->cmks_count != 1) {
        kt_table_row(&table);
        kt_table_cell(&table, "%s DEK%s", kt_count_text(done).s, kt_summary_plural(done));
        kt_table_cell(&table, keys->cmks_count ? "together" : "to rewrap");
    }
    if (dry)
        kt_table_cell(&table, "would be rewrapped");
    else if (done && keys->sampled == keys->rewrapped)
        kt_table_cell(&table, "%s opened again and equal", kt_count_text(keys->proven).s);
    kt_table_cell(&table, "%s %s", kt_count_text(keys->failed).s, dry ? "would fail" : "failed");
    if (!result->withheld && keys->read > done + keys->failed)
        kt_table_cell(&table, "%s others %s", kt_count_text(keys->read - done - keys->failed).s,
                      dry ? "would be copied" : "copied");
    kt_table_print(&table, out);
    if (!dry && done && keys->sampled != keys->rewrapped)
        fprintf(out, "  proof   %s of %s open to the same 96 bytes\n", kt_count_text(keys->proven).s,
                kt_count_text(keys->sampled).s);
    if (!dry && done)
        kt_kms_print_unneeded(out, keys);
    if (!dry && done && result->backup)
        fprintf(out, "  undo    keyturn keys restore %s --key-vault ...\n", result->backup);
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
    if (result->has_kms && result->kms.calls)
        kt_kms_print_counts(out, &result->kms);
}
