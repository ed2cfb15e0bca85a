/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "keyturn/restore.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/format.h"
#include "tools/help.h"
#include "tools/screen.h"
#include "tools/server.h"

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static int finish(struct kt_screen *screen, const struct kt_restore_options *options,
                  const struct kt_restore_result *result)
{
    printf("%s of %s DEK%s %s under %s former CMK", kt_count_text(result->restored).s,
           kt_count_text(result->keys).s, plural(result->keys),
           options->dry_run ? "would be put back" : "put back", result->restored == 1 ? "its" : "their");
    if (result->already)
        printf("   %s already", kt_count_text(result->already).s);
    printf("   %s wrapped anew since   %s missing\n", kt_count_text(result->changed).s,
           kt_count_text(result->missing).s);
    int exit = kt_screen_flush(result->changed || result->missing ? 1 : 0);
    if (exit == 1)
        kt_screen_note(screen, "exit 1: those are as they were");
    return exit;
}

static int restore(const struct kt_settings *settings, const char *file, struct kt_screen *screen)
{
    struct kt_guard guard = {0};
    struct kt_restore_options options = {.file = file,
                                         .key_vault = settings->key_vault,
                                         .key_vault_namespace = settings->key_vault_namespace,
                                         .checkpoint = settings->checkpoint,
                                         .dry_run = settings->dry_run,
                                         .forget = settings->forget,
                                         .log = &screen->log};
    struct kt_restore_result result;
    struct kt_error err = {.status = KT_OK};
    char question[400];
    enum kt_status status = KT_OK;
    snprintf(question, sizeof question, "Put the keys of %.300s back?", file);
    if (!settings->dry_run && !settings->yes)
        status = kt_ask(screen, question, &err);
    if (status == KT_OK && !settings->dry_run)
        status = kt_guard_start(&guard, &err);
    options.guard_fd = guard.fd;
    if (status == KT_OK)
        status = kt_restore_run(&options, &result, &err);
    kt_guard_end(&guard);
    if (status == KT_OK)
        return finish(screen, &options, &result);
    /* The whole file is read before the key vault is touched. */
    if (kt_status_category(status) == KT_CAT_USAGE || status == KT_E_FORMAT)
        return kt_screen_refused(screen, &err);
    kt_screen_error(screen, 4, err.message, "The same command goes on: what is put back stays.");
    return 4;
}

int kt_keys_command(const struct kt_cli_command *command, int argc, char **argv)
{
    struct kt_settings settings = {0};
    struct kt_screen screen;
    struct kt_error err;
    bool help = false;
    int exit = 2;
    const char *verb = argc > 1 ? argv[1] : "", *file = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    bool asks = strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 ||
                (argc > 2 && strcmp(argv[2], "--help") == 0);
    int skip = asks ? 0 : 2;
    enum kt_status status;
    if (!asks && strcmp(verb, "restore") != 0)
        status = kt_fail(&err, KT_E_USAGE,
                         "keys: say what is to be done: keyturn keys restore FILE --key-vault STORE");
    else if (!asks && !file)
        status = kt_fail(&err, KT_E_USAGE,
                         "keys restore needs the backup file of a rewrap: keyturn keys restore FILE "
                         "--key-vault STORE");
    else
        status = kt_command_line_read(command, asks ? argc : argc - skip, argv + (asks ? 0 : skip), &settings,
                                      &help, &err);
    kt_screen_open(&screen, settings.log_format && strcmp(settings.log_format, "json") == 0, settings.quiet,
                   settings.verbose);
    if (status == KT_OK && help) {
        kt_help_command(stdout, command);
        exit = kt_screen_flush(0);
    } else if (status == KT_OK)
        exit = restore(&settings, file, &screen);
    else
        kt_screen_refused(&screen, &err);
    kt_screen_close(&screen);
    kt_settings_cleanup(&settings);
    return exit;
}
