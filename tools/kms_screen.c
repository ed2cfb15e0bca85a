/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/kms_screen.h"

#include <string.h>

#include "tools/format.h"
#include "tools/summary.h"
#include "tools/table.h"

static struct kt_text ms_text(double ms)
{
    struct kt_text text;
    snprintf(text.s, sizeof text.s, ms < 10 ? "%.1f ms" : "%.0f ms", ms);
    return text;
}

static const char *each(const struct kt_kms_plan_line *line)
{
    return line->calls == line->deks ? "1 each" : line->calls < line->deks ? "once" : "";
}

static void print_time(FILE *out, const struct kt_job_options *options, const struct kt_kms_plan *plan)
{
    if (plan->seconds > 0)
        fprintf(out, ", %s at %s calls/s (%s)%s", kt_duration_text(plan->seconds).s,
                kt_count_text((uint64_t)(plan->rate + 0.5)).s,
                options->kms_rate > 0 ? "--kms-rate" : "the usual quota",
                plan->quota_known ? "" : " and what KMIP takes");
    else
        fputs(", as fast as the KMS answers", out);
}

void kt_kms_print_plan(FILE *out, const struct kt_job_options *options, const struct kt_kms_plan *plan)
{
    struct kt_table table = {0};
    for (size_t i = 0; i < plan->lines_count; i++) {
        const struct kt_kms_plan_line *line = &plan->lines[i];
        kt_table_row(&table);
        kt_table_cell(&table, "  %s", line->operation);
        kt_table_cell(&table, "%s", line->cmk);
        kt_table_cell(&table, "%s DEK%s", kt_count_text(line->deks).s, kt_summary_plural(line->deks));
        kt_table_cell(&table, "%s", each(line));
        kt_table_cell(&table, "%s%s call%s", line->at_least ? "at least " : "", kt_count_text(line->calls).s,
                      kt_summary_plural(line->calls));
    }
    kt_table_print(&table, out);
    fprintf(out, "  total   %s%s call%s", plan->at_least ? "at least " : "", kt_count_text(plan->calls).s,
            kt_summary_plural(plan->calls));
    if (plan->usd > 0)
        fprintf(out, ", USD %.2f%s", plan->usd, plan->unpriced ? " (Azure's and KMIP's not counted)" : "");
    print_time(out, options, plan);
    fputc('\n', out);
}

void kt_kms_print_counts(FILE *out, const struct kt_kms_counts *kms)
{
    fprintf(out, "  KMS     %s call%s, p50 %s, p99 %s", kt_count_text(kms->calls).s,
            kt_summary_plural(kms->calls), ms_text(kms->p50_ms).s, ms_text(kms->p99_ms).s);
    if (kms->throttled)
        fprintf(out, ", %s throttled and repeated", kt_count_text(kms->throttled).s);
    if (kms->retries > kms->throttled)
        fprintf(out, ", %s repeated after faults", kt_count_text(kms->retries - kms->throttled).s);
    fputc('\n', out);
}

void kt_kms_print_unneeded(FILE *out, const struct kt_key_counts *keys)
{
    size_t shown = 0;
    /* DEKs that were not matched may be under any of them. */
    if (keys->matched != keys->read)
        return;
    for (size_t i = 0; i < keys->cmks_count; i++) {
        const struct kt_cmk_counts *cmk = &keys->cmks[i];
        if (cmk->rewrapped != cmk->matched || cmk->needed)
            continue;
        fprintf(out, shown ? ", %s" : "  now     this key vault no longer needs %s", cmk->from);
        shown++;
    }
    if (shown)
        fputs("; old backups and other vaults may\n", out);
}
