/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/sample.h"
#include "tools/commands.h"
#include "tools/format.h"
#include "tools/option_table.h"
#include "tools/server.h"
#include "tools/session.h"

static bool given(const struct kt_settings *settings, const char *name)
{
    return settings->given[kt_option_index(kt_option_find(name, strlen(name), false))] != KT_NOT_GIVEN;
}

static struct kt_sample_options sample_options(const struct kt_settings *settings, const struct kt_log *log)
{
    const char *backend = settings->backend ? settings->backend : getenv("KEYTURN_BACKEND");
    return (struct kt_sample_options){
        .to = settings->to,
        .documents = given(settings, "documents") ? settings->documents : 100000,
        .keys = given(settings, "keys") ? settings->keys : 1000,
        .seed = given(settings, "seed") ? settings->seed : 1,
        .backend = backend && *backend ? backend : NULL,
        .cpu_disable = getenv("KEYTURN_CPU_DISABLE"),
        .log = log,
    };
}

static void print_sample(const struct kt_sample_options *options, const struct kt_sample_result *result)
{
    const char *const files[] = {"dump/shop/customers.bson", "keyvault.bson", "schema.json", "kms.json",
                                 "keyturn.json"};
    char what[5][120];
    int width = (int)(strlen(options->to) + 1 + strlen(files[0]));
    snprintf(what[0], sizeof what[0], "%s documents, %s", kt_count_text(options->documents).s,
             kt_size_text(result->nbytes).s);
    snprintf(what[1], sizeof what[1], "%s DEK%s under local:old", kt_count_text(options->keys).s,
             options->keys == 1 ? "" : "s");
    snprintf(what[2], sizeof what[2], "%s: 4 fields random, 2 deterministic", KT_SAMPLE_NS);
    snprintf(what[3], sizeof what[3], "local:old, local:new");
    snprintf(what[4], sizeof what[4], "keyVault, schemaMap, kmsProviders, for --config");
    for (size_t i = 0; i < 5; i++) {
        char path[1200];
        snprintf(path, sizeof path, "%s/%s", options->to, files[i]);
        printf("%-*s  %s\n", width, path, what[i]);
    }
}

static enum kt_status write_sample(const struct kt_sample_options *options, struct kt_sample_result *result,
                                   struct kt_error *err)
{
    if (strcmp(options->to, "-") == 0 || kt_store_is_server(options->to))
        return kt_fail(err, KT_E_USAGE, "--to: a sample is several files; name a new folder for them");
    return kt_sample_write(options, result, err);
}

int kt_sample_command(const struct kt_cli_command *command, int argc, char **argv)
{
    struct kt_session session;
    struct kt_sample_result result;
    struct kt_error err;
    int exit;
    if (!kt_session_begin(&session, command, argc, argv, &exit))
        goto done;
    struct kt_sample_options options = sample_options(&session.settings, &session.screen.log);
    enum kt_status status = write_sample(&options, &result, &err);
    if (status == KT_OK) {
        print_sample(&options, &result);
        kt_screen_advice(&session.screen,
                         "  next   keyturn encrypt --config %s/keyturn.json --from %s/dump --to %s/sealed",
                         options.to, options.to, options.to);
        exit = kt_screen_flush(0);
    } else if (status == KT_E_IO) {
        exit = 4;
        kt_screen_error(&session.screen, exit, err.message, "Nothing is left of it.");
    } else
        exit = kt_screen_refused(&session.screen, &err);
done:
    kt_session_end(&session);
    return exit;
}
