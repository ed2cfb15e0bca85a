/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/status_screen.h"

#include <time.h>

#include "tools/format.h"
#include "tools/kms_screen.h"
#include "tools/report.h"
#include "tools/summary.h"
#include "tools/table.h"

#define DAY_MS ((int64_t)86400000)

static const char *const index_words[] = {"not known", "yes", "no such index", "not unique", "not partial"};
static const char *const index_names[] = {NULL, "good", "missing", "notUnique", "notPartial"};
static const char *const use_names[] = {NULL, "yes", "no"};

static struct kt_text date_text(int64_t ms)
{
    struct kt_text text = {"?"};
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts))
        strftime(text.s, sizeof text.s, "%Y-%m-%d", &parts);
    return text;
}

/* "2024-11-03  484 d !": since when the oldest DEK has its wrap. */
static void age_cell(struct kt_table *table, const struct kt_audit_cmk *cmk, int64_t now_ms)
{
    int64_t days = (now_ms - cmk->oldest_ms) / DAY_MS;
    if (days <= 0)
        kt_table_cell(table, "today%s", cmk->old ? " !" : "");
    else
        kt_table_cell(table, "%s  %lld d%s", date_text(cmk->oldest_ms).s, (long long)days,
                      cmk->old ? " !" : "");
}

static void use_cell(struct kt_table *table, const struct kt_audit_cmk *cmk)
{
    const char *trap = cmk->versionless ? "no keyVersion: a new version locks these out" : NULL;
    if (cmk->use == KT_USE_NOT_TRIED)
        kt_table_cell(table, "not tried%s%s", trap ? "; " : "", trap ? trap : "");
    else if (cmk->use == KT_USE_YES)
        kt_table_cell(table, "yes%s%s", trap ? ", but " : "", trap ? trap : "");
    else
        kt_table_cell(table, "no: %s%s%s", cmk->why, trap ? "; " : "", trap ? trap : "");
}

static void print_cmks(FILE *out, const struct kt_audit_vault *vault, int64_t now_ms)
{
    struct kt_table table = {0};
    kt_table_row(&table);
    kt_table_cell(&table, "  CMK");
    kt_table_cell(&table, "DEKs");
    kt_table_cell(&table, "last wrapped");
    kt_table_cell(&table, "can be used");
    for (size_t i = 0; i < vault->cmks_count; i++) {
        const struct kt_audit_cmk *cmk = &vault->cmks[i];
        kt_table_row(&table);
        kt_table_cell(&table, "  %s", cmk->name);
        kt_table_cell(&table, "%s", kt_count_text(cmk->deks).s);
        age_cell(&table, cmk, now_ms);
        use_cell(&table, cmk);
    }
    kt_table_print(&table, out);
}

static void print_vault(FILE *out, const struct kt_audit_vault *vault, const struct kt_audit_result *result)
{
    fprintf(out, "%s%s      %s DEK%s%s\n", vault->name, vault->where, kt_count_text(vault->deks).s,
            kt_summary_plural(vault->deks), vault->backups ? ", in a backup of rewrap" : "");
    if (vault->cmks_count)
        print_cmks(out, vault, result->now_ms);
    if (vault->index != KT_INDEX_UNKNOWN)
        fprintf(out, "  index   keyAltNames unique and partial: %s\n", index_words[vault->index]);
    if (!vault->backups)
        fprintf(out, "  names   %s duplicate%s, %s DEK%s without\n", kt_count_text(vault->duplicate_names).s,
                kt_summary_plural(vault->duplicate_names), kt_count_text(vault->unnamed).s,
                kt_summary_plural(vault->unnamed));
    if (vault->broken)
        fprintf(out, "  broken  %s document%s that drivers refuse\n", kt_count_text(vault->broken).s,
                kt_summary_plural(vault->broken));
    if (result->looked_at_data)
        fprintf(out, "  unused  %s DEK%s that nothing in the data names\n", kt_count_text(vault->unused).s,
                kt_summary_plural(vault->unused));
}

/* Whether anything still needs the CMK that was asked for. */
static void print_asked(FILE *out, const struct kt_audit_result *result)
{
    uint64_t here = 0, backed = 0, files = 0;
    for (size_t i = 0; i < result->vaults_count; i++) {
        const struct kt_audit_vault *vault = &result->vaults[i];
        *(vault->backups ? &backed : &here) += vault->asked;
        files += vault->backups && vault->asked;
    }
    fprintf(out, "  --cmk   %s: %s DEK%s here", result->asked, kt_count_text(here).s,
            kt_summary_plural(here));
    if (files)
        fprintf(out, ", %s in %s backup file%s", kt_count_text(backed).s, kt_count_text(files).s,
                kt_summary_plural(files));
    fputs(here    ? ": it is needed\n"
          : files ? ": disable it once that backup may die\n"
                  : ": nothing that was given needs it\n",
          out);
}

static void add_finding(char *line, size_t nbytes, size_t *at, uint64_t n, const char *one, const char *many)
{
    if (n && *at < nbytes)
        *at += (size_t)snprintf(line + *at, nbytes - *at, "%s%s %s", *at ? ", " : "", kt_count_text(n).s,
                                n == 1 ? one : many);
}

static void print_findings(FILE *out, const struct kt_audit_options *options, const struct kt_audit_result *r)
{
    char line[400] = "", aged[60];
    size_t at = 0;
    uint64_t count = r->old + r->versionless + r->unusable + r->broken + r->duplicate_names + r->bad_indexes;
    snprintf(aged, sizeof aged, "older than %lld %s",
             (long long)(options->older_than_ms < DAY_MS ? options->older_than_ms / 3600000
                                                         : options->older_than_ms / DAY_MS),
             options->older_than_ms < DAY_MS ? "hours" : "days");
    add_finding(line, sizeof line, &at, r->old, aged, aged);
    add_finding(line, sizeof line, &at, r->versionless, "without version", "without version");
    add_finding(line, sizeof line, &at, r->unusable, "unusable", "unusable");
    add_finding(line, sizeof line, &at, r->broken, "broken", "broken");
    add_finding(line, sizeof line, &at, r->duplicate_names, "duplicate name", "duplicate names");
    add_finding(line, sizeof line, &at, r->bad_indexes, "index", "indexes");
    if (count)
        fprintf(out, "%s finding%s: %s   exit 5\n", kt_count_text(count).s, kt_summary_plural(count), line);
    else
        fputs("no findings\n", out);
}

void kt_status_print(FILE *out, const struct kt_audit_options *options, const struct kt_audit_result *result)
{
    for (size_t i = 0; i < result->vaults_count; i++)
        print_vault(out, &result->vaults[i], result);
    if (result->asked)
        print_asked(out, result);
    if (!result->looked_at_data)
        fputs("  unused  not looked at (name the data with --from)\n", out);
    if (result->has_kms && result->kms.calls)
        kt_kms_print_counts(out, &result->kms);
    print_findings(out, options, result);
}

static void report_cmk(struct kt_json *json, const struct kt_audit_cmk *cmk)
{
    kt_json_begin(json, NULL, '{');
    kt_json_text(json, "cmk", cmk->name);
    kt_json_document(json, "masterKey", cmk->master_key.data, cmk->master_key.nbytes);
    kt_json_count(json, "deks", cmk->deks);
    kt_json_count(json, "old", cmk->old);
    kt_json_text(json, "oldest", date_text(cmk->oldest_ms).s);
    kt_json_text(json, "newest", date_text(cmk->newest_ms).s);
    kt_json_bool(json, "versionless", cmk->versionless);
    kt_json_text(json, "usable", use_names[cmk->use]);
    kt_json_text(json, "why", cmk->why);
    kt_json_end(json, '{');
}

static void report_vault(struct kt_json *json, const struct kt_audit_vault *vault,
                         const struct kt_audit_result *result)
{
    kt_json_begin(json, NULL, '{');
    kt_json_text(json, "keyVault", vault->name);
    kt_json_text(json, "file", vault->server ? NULL : vault->name);
    kt_json_text(json, "server", vault->server);
    kt_json_text(json, "hosts", vault->hosts);
    kt_json_count(json, "deks", vault->deks);
    kt_json_count(json, "inBackup", vault->backups);
    kt_json_count(json, "broken", vault->broken);
    kt_json_count(json, "unnamed", vault->unnamed);
    kt_json_count(json, "duplicateNames", vault->duplicate_names);
    kt_json_text(json, "index", index_names[vault->index]);
    if (result->asked)
        kt_json_count(json, "underCmk", vault->asked);
    if (result->looked_at_data)
        kt_json_count(json, "unused", vault->unused);
    kt_json_begin(json, "cmks", '[');
    for (size_t i = 0; i < vault->cmks_count; i++)
        report_cmk(json, &vault->cmks[i]);
    kt_json_end(json, '[');
    kt_json_end(json, '{');
}

void kt_status_report(struct kt_json *json, const struct kt_audit_result *result)
{
    kt_json_begin(json, "keyVaults", '[');
    for (size_t i = 0; i < result->vaults_count; i++)
        report_vault(json, &result->vaults[i], result);
    kt_json_end(json, '[');
    if (result->asked)
        kt_json_text(json, "cmk", result->asked);
    kt_json_begin(json, "findings", '{');
    kt_json_count(json, "old", result->old);
    kt_json_count(json, "versionless", result->versionless);
    kt_json_count(json, "unusable", result->unusable);
    kt_json_count(json, "broken", result->broken);
    kt_json_count(json, "duplicateNames", result->duplicate_names);
    kt_json_count(json, "indexes", result->bad_indexes);
    kt_json_end(json, '{');
    if (result->has_kms)
        kt_report_kms(json, &result->kms);
}
