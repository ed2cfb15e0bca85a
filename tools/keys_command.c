/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "keyturn/restore.h"
#include "tools/commands.h"
#include "tools/format.h"
#include "tools/server.h"
#include "tools/session.h"

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

/* The words before the options: restore and its file, or a wish for help. */
static enum kt_status read_words(int argc, char **argv, bool *asks, const char **file, struct kt_error *err)
{
    const char *verb = argc > 1 ? argv[1] : "";
    *asks = strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 ||
            (argc > 2 && strcmp(argv[2], "--help") == 0);
    *file = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    if (!*asks && strcmp(verb, "restore") != 0)
        return kt_fail(err, KT_E_USAGE,
                       "keys: say what is to be done: keyturn keys restore FILE --key-vault STORE");
    if (!*asks && !*file)
        return kt_fail(err, KT_E_USAGE,
                       "keys restore needs the backup file of a rewrap: keyturn keys restore FILE "
                       "--key-vault STORE");
    return KT_OK;
}

int kt_keys_command(const struct kt_cli_command *command, int argc, char **argv)
{
    struct kt_session session;
    struct kt_error err;
    const char *file;
    bool asks;
    int exit;
    if (read_words(argc, argv, &asks, &file, &err) != KT_OK)
        exit = kt_session_refuse(&session, &err);
    else if (kt_session_begin(&session, command, asks ? argc : argc - 2, argv + (asks ? 0 : 2), &exit))
        exit = restore(&session.settings, file, &session.screen);
    kt_session_end(&session);
    return exit;
}
