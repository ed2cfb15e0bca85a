/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ending.h"

#include <string.h>
#include <sys/stat.h>

#include "tools/format.h"
#include "tools/option_table.h"
#include "tools/server.h"
#include "tools/summary.h"

int kt_ending_percent(const struct kt_job_progress *progress)
{
    if (progress->nbytes_total == 0)
        return -1;
    if (progress->nbytes_done >= progress->nbytes_total)
        return 100;
    return (int)((double)progress->nbytes_done * 100 / (double)progress->nbytes_total);
}

bool kt_ending_resumable(const struct kt_job_options *options)
{
    struct stat st;
    const char *changed = options->kind == KT_JOB_REWRAP ? options->key_vault : options->from;
    if (options->kind != KT_JOB_VERIFY && !options->dry_run && !options->to && kt_store_is_server(changed))
        return !options->all_or_nothing;
    if (options->kind == KT_JOB_VERIFY || options->dry_run || !options->to || strcmp(options->to, "-") == 0)
        return false;
    return stat(options->to, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static uint64_t done_so_far(const struct kt_job_options *options, const struct kt_job_result *result)
{
    return options->kind == KT_JOB_REWRAP ? result->keys.read : kt_summary_together(result).documents;
}

/* What was done must not be lost: --only over the input would copy all other documents as they are there. */
static void advise_after_failures(struct kt_screen *screen, const struct kt_job_options *options,
                                  const struct kt_job_result *result, const char *file)
{
    static const char begin[] = "  next   mend what the list names";
    const char *stays = options->kind == KT_JOB_DECRYPT ? "plain" : "sealed", *from = options->to;
    if (result->withheld)
        kt_screen_note(screen, "%s, then the same command", begin);
    else if (!options->to)
        kt_screen_note(screen, "%s, then the same command with --only %s and another --failures", begin,
                       file);
    else if (options->kind == KT_JOB_REWRAP)
        kt_screen_note(screen, "%s, then rewrap --key-vault %s --only %s, with another --to", begin,
                       kt_ending_resumable(options) ? from : "OUTPUT", file);
    else
        kt_screen_note(screen, "%s there, then %s --from %s, with another --to: what is %s stays %s", begin,
                       options->kind == KT_JOB_DECRYPT ? "decrypt" : "encrypt",
                       kt_ending_resumable(options) ? from : "OUTPUT", stays, stays);
}

static void ending_failed(struct kt_screen *screen, const struct kt_job_options *options,
                          const struct kt_job_result *result)
{
    bool keys = options->kind == KT_JOB_REWRAP;
    uint64_t failed = keys ? result->keys.failed : kt_summary_together(result).failed;
    const char *file = result->failures_file;
    if (result->withheld && !options->dry_run)
        kt_screen_note(screen, "--all-or-nothing: a DEK failed, so nothing was written%s%s%s",
                       options->to ? "; " : "", options->to ? options->to : "",
                       options->to ? " is not there" : "");
    kt_screen_note(screen, "exit 1: %s %s%s %s%s%s%s", kt_count_text(failed).s, keys ? "DEK" : "document",
                   kt_summary_plural(failed),
                   options->dry_run ? "would stay unchanged"
                   : failed == 1    ? "is as it was"
                                    : "are as they were",
                   file && failed > KT_SCREEN_FAILURES ? " (the first 10 above, all in "
                   : file                              ? " (listed in "
                                                       : "",
                   file ? file : "", file ? ")" : "");
    if (file && !options->dry_run)
        advise_after_failures(screen, options, result, file);
}

static void ending_stopped(struct kt_screen *screen, const struct kt_job_options *options,
                           const struct kt_job_result *result, const struct kt_job_progress *last,
                           const struct kt_error *err)
{
    char message[700], share[16] = "";
    const char *unit = options->kind == KT_JOB_REWRAP ? "DEK" : "document";
    uint64_t done = done_so_far(options, result);
    int at = 0, percent = kt_ending_percent(last);
    if (err->status == KT_E_LIMIT)
        at = snprintf(message, sizeof message, "%s; stopped", err->message);
    else
        at = snprintf(message, sizeof message, "Stopped");
    if (percent >= 0)
        snprintf(share, sizeof share, " (%d%%)", percent);
    snprintf(message + at, sizeof message - (size_t)at, " at %s %s%s%s%s", kt_count_text(done).s, unit,
             kt_summary_plural(done), share,
             kt_ending_resumable(options) && !result->withheld ? ", all written" : "");
    kt_screen_error(screen, 3, message,
                    kt_ending_resumable(options) ? "The same command goes on from here." : KT_ENDING_ANEW);
}

static void ending_broken(struct kt_screen *screen, const struct kt_job_options *options,
                          const struct kt_error *err)
{
    const char *ending = "The same command goes on from what is written.";
    if (!kt_ending_resumable(options))
        ending = KT_ENDING_ANEW;
    else if (err->status == KT_E_CREDENTIALS)
        ending = "With fresh credentials the same command goes on from what is written.";
    else if (kt_status_category(err->status) == KT_CAT_DATA)
        ending = options->to ? "Nothing has the output's name. Mend the input, then add --forget."
                             : "What is written stands. Mend the data, then the same command goes on.";
    kt_screen_error(screen, 4, err->message, ending);
}

/* A connection string may hold a password and is not repeated. */
static void advise_verify(struct kt_screen *screen, const struct kt_settings *settings,
                          const struct kt_job_options *options)
{
    bool given = settings->given[kt_option_index(kt_option_find("from", 4, false))] == KT_GIVEN_COMMAND;
    const char *from = options->to ? options->to : given ? "(the server)" : NULL;
    kt_screen_advice(screen, "  next   keyturn verify --config %s%s%s", settings->config,
                     from ? " --from " : "", from ? from : "");
}

void kt_ending_print(struct kt_screen *screen, const struct kt_settings *settings,
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
    else if (result->exit == 0 && options->kind == KT_JOB_ENCRYPT && kt_ending_resumable(options) &&
             settings->config)
        advise_verify(screen, settings, options);
}
