/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/command_line.h"

#include <string.h>

#include "tools/config_file.h"
#include "tools/option_table.h"
#include "tools/server.h"

static enum kt_status unknown_option(const struct kt_cli_command *command, const char *name, size_t nbytes,
                                     struct kt_error *err)
{
    char wanted[64];
    size_t cut = nbytes < sizeof wanted ? nbytes : sizeof wanted - 1;
    memcpy(wanted, name, cut);
    wanted[cut] = 0;
    const struct kt_option *known = kt_option_find(name, nbytes, false);
    if (known)
        return kt_fail(err, KT_E_USAGE, "%s takes no --%s; see keyturn %s --help", command->name, known->name,
                       command->name);
    const struct kt_option *near = kt_option_nearest(wanted, command->bit, false);
    if (near)
        return kt_fail(err, KT_E_USAGE, "unknown option --%s; did you mean --%s?", wanted, near->name);
    return kt_fail(err, KT_E_USAGE, "unknown option --%s; see keyturn %s --help", wanted, command->name);
}

static enum kt_status stray_argument(const struct kt_cli_command *command, const char *text,
                                     struct kt_error *err)
{
    if (text[0] == '-' && text[1] && strcmp(text, "--") != 0)
        return kt_fail(err, KT_E_USAGE,
                       "unknown option %.40s; options have two dashes, see keyturn %s --help", text,
                       command->name);
    return kt_fail(err, KT_E_USAGE, "'%.200s' belongs to no option; see keyturn %s --help", text,
                   command->name);
}

/* One option at argv[*at]; moves *at to its last word. */
static enum kt_status read_option(const struct kt_cli_command *command, int argc, char **argv, int *at,
                                  struct kt_settings *settings, struct kt_error *err)
{
    const char *name = argv[*at] + 2;
    size_t nbytes = strcspn(name, "=");
    const struct kt_option *option = kt_option_find(name, nbytes, false);
    if (!option || !(option->commands & command->bit))
        return unknown_option(command, name, nbytes, err);

    char where[72];
    snprintf(where, sizeof where, "--%s", option->name);
    uint8_t *given = &settings->given[kt_option_index(option)];
    bool several =
        option->type == KT_OPTION_LIST || (option->type == KT_OPTION_STORES && command->bit == KT_CMD_STATUS);
    if (*given != KT_NOT_GIVEN && !several)
        return kt_fail(err, KT_E_USAGE, "%s is there twice", where);
    *given = KT_GIVEN_COMMAND;

    const char *value = name[nbytes] == '=' ? name + nbytes + 1 : NULL;
    if (option->type == KT_OPTION_FLAG) {
        if (value)
            return kt_fail(err, KT_E_USAGE, "%s takes no value", where);
        *(bool *)kt_option_slot(option, settings) = true;
        return KT_OK;
    }
    if (!value) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return kt_fail(err, KT_E_USAGE,
                           "%s lacks its %s; a value that starts with two dashes is written "
                           "%s=VALUE",
                           where, option->argument, where);
        value = argv[++*at];
    }
    /* JSON from the command line is known by where it stood; the name outlives this function */
    if (option->type == KT_OPTION_JSON) {
        const char *kept = kt_settings_keep(settings, strdup(where));
        if (!kept)
            return kt_fail(err, KT_E_NOMEM, "no memory for the options");
        return kt_option_set(option, settings, value, NULL, kept, err);
    }
    return kt_option_set(option, settings, value, NULL, where, err);
}

/* A server is changed in place, and holds its key vault unless another is named. */
static bool can_do_without(const struct kt_cli_command *command, const struct kt_settings *settings,
                           const char *name)
{
    const char *store = command->bit == KT_CMD_REWRAP ? settings->key_vault : settings->from;
    if (strcmp(name, "to") == 0)
        return settings->dry_run || kt_store_is_server(store);
    if (strcmp(name, "schema-map") == 0)
        return settings->schema_from_server;
    if (strcmp(name, "key-vault") == 0 && settings->jobs)
        return true;
    return strcmp(name, "key-vault") == 0 && command->bit != KT_CMD_STATUS &&
           kt_store_is_server(settings->from);
}

static enum kt_status check_required(const struct kt_cli_command *command, const struct kt_settings *settings,
                                     struct kt_error *err)
{
    for (size_t i = 0; i < kt_options_count(); i++) {
        const struct kt_option *option = kt_option_at(i);
        if (!(option->required & command->bit) || settings->given[i] != KT_NOT_GIVEN ||
            can_do_without(command, settings, option->name))
            continue;
        return kt_fail(err, KT_E_USAGE, "--%s %s is missing; see keyturn %s --help", option->name,
                       option->argument, command->name);
    }
    return KT_OK;
}

enum kt_status kt_command_line_read(const struct kt_cli_command *command, int argc, char **argv,
                                    struct kt_settings *settings, bool *help, struct kt_error *err)
{
    *help = false;
    for (int i = 1; i < argc && !*help; i++)
        *help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (*help)
        return KT_OK;
    for (int i = 1; i < argc; i++) {
        enum kt_status status = strncmp(argv[i], "--", 2) == 0 && argv[i][2]
                                    ? read_option(command, argc, argv, &i, settings, err)
                                    : stray_argument(command, argv[i], err);
        if (status != KT_OK)
            return status;
    }
    enum kt_status status = KT_OK;
    if (settings->config)
        status = kt_config_read(settings->config, command->bit, settings, err);
    if (status == KT_OK && settings->key_vaults.count > 1 && command->bit != KT_CMD_STATUS)
        status = kt_fail(err, KT_E_USAGE, "%s takes one --key-vault", command->name);
    if (status == KT_OK)
        status = kt_server_stores(settings, err);
    if (status == KT_OK)
        status = check_required(command, settings, err);
    return status;
}
