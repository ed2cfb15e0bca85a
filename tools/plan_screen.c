/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/plan_screen.h"

#include "tools/format.h"
#include "tools/summary.h"
#include "tools/table.h"

static const char *verb(const struct kt_job_options *options)
{
    switch (options->kind) {
    case KT_JOB_ENCRYPT:
        return "encrypt";
    case KT_JOB_DECRYPT:
        return "decrypt";
    case KT_JOB_REWRAP:
        return "rewrap";
    default:
        return "verify";
    }
}

static struct kt_text key_text(const struct kt_plan_path *path)
{
    struct kt_text text;
    if (path->pointer)
        snprintf(text.s, sizeof text.s, "DEK named at %.20s", path->pointer);
    else
        snprintf(text.s, sizeof text.s, "DEK %02x%02x%02x%02x...", path->key_id[0], path->key_id[1],
                 path->key_id[2], path->key_id[3]);
    return text;
}

static void print_paths(FILE *out, const struct kt_job_options *options, const struct kt_plan_ns *ns)
{
    struct kt_table table = {0};
    for (size_t i = 0; i < ns->paths_count; i++) {
        const struct kt_plan_path *path = &ns->paths[i];
        kt_table_row(&table);
        kt_table_cell(&table, "  %s", path->path);
        kt_table_cell(&table, "%s", path->deterministic ? "deterministic" : "random");
        kt_table_cell(&table, "%s", key_text(path).s);
        if (options->kind == KT_JOB_ENCRYPT)
            kt_table_cell(&table, "about %s value%s", kt_count_text(path->values).s,
                          kt_summary_plural(path->values));
    }
    kt_table_print(&table, out);
}

static void print_ns(FILE *out, const struct kt_job_options *options, const struct kt_job_plan *plan,
                     const struct kt_plan_ns *ns)
{
    fprintf(out, "Plan: %s %s on %s      %s %s%s, %s\n", verb(options), ns->ns, plan->server,
            kt_count_text(ns->documents).s, options->kind == KT_JOB_REWRAP ? "key document" : "document",
            kt_summary_plural(ns->documents), kt_size_text(ns->nbytes).s);
    if (options->kind == KT_JOB_REWRAP) {
        fprintf(out, "  to rewrap   %s DEK%s\n", kt_count_text(ns->changing).s,
                kt_summary_plural(ns->changing));
        if (!options->dry_run)
            fprintf(out, "  backup      %s\n",
                    options->backup ? options->backup : "rewrap-<UTC>.bson in this folder");
        return;
    }
    print_paths(out, options, ns);
    fprintf(out, "  values  about %s to %s%s", kt_count_text(ns->values).s, verb(options),
            options->dry_run ? "" : " (exact with --dry-run)");
    if (ns->already)
        fprintf(out, ", about %s are already", kt_count_text(ns->already).s);
    if (ns->failing)
        fprintf(out, ", about %s document%s cannot be done", kt_count_text(ns->failing).s,
                kt_summary_plural(ns->failing));
    fprintf(out, "\n  size    about %s -> %s\n", kt_size_text(ns->nbytes).s,
            kt_size_text(ns->nbytes_after).s);
    if (ns->values == 0)
        return;
    if (ns->seconds > 0)
        fprintf(out, "  time    about %s (guessed from reading %s documents, nothing written)\n",
                kt_duration_text(ns->seconds).s, kt_count_text(ns->paced).s);
    /* What is changed goes through the oplog; nobody wants to learn that from a replica that fell behind. */
    bool grows = ns->nbytes_after > ns->nbytes;
    fprintf(out, "  oplog   about %s: look at its window, and at what change streams have to carry\n",
            kt_size_text(grows ? 2 * (ns->nbytes_after - ns->nbytes) : ns->nbytes - ns->nbytes_after).s);
}

void kt_plan_print(FILE *out, const struct kt_job_options *options, const struct kt_job_plan *plan)
{
    for (size_t i = 0; i < plan->namespaces_count; i++)
        print_ns(out, options, plan, &plan->namespaces[i]);
    if (options->kind == KT_JOB_ENCRYPT)
        fprintf(out, "  ! clients without this schema still write plaintext\n");
    fprintf(out, "  checkpoint  %s.checkpoints on %s\n", plan->state_db, plan->server);
    fflush(out);
}

void kt_plan_question(const struct kt_job_options *options, const struct kt_job_plan *plan, char *out,
                      size_t nbytes)
{
    const char *what = verb(options);
    if (options->kind == KT_JOB_REWRAP && plan->namespaces_count == 1)
        snprintf(out, nbytes, "Rewrap %s DEKs?", kt_count_text(plan->namespaces[0].changing).s);
    else if (plan->namespaces_count == 1)
        snprintf(out, nbytes, "%c%s %s?", what[0] - 'a' + 'A', what + 1, plan->namespaces[0].ns);
    else
        snprintf(out, nbytes, "%c%s %zu collections?", what[0] - 'a' + 'A', what + 1, plan->namespaces_count);
}
