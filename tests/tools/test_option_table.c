/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/option_table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "tools/commands.h"

static const struct kt_option *option(const char *name)
{
    const struct kt_option *found = kt_option_find(name, strlen(name), false);
    cr_assert(found != NULL, "--%s", name);
    return found;
}

Test(option_table, every_row_is_whole)
{
    for (size_t i = 0; i < kt_options_count(); i++) {
        const struct kt_option *o = kt_option_at(i);
        cr_expect(o->help && *o->help, "%s", o->name);
        cr_expect(eq(int, o->argument == NULL, o->type == KT_OPTION_FLAG), "%s", o->name);
        cr_expect(eq(int, o->choices != NULL, o->type == KT_OPTION_CHOICE), "%s", o->name);
        cr_expect(o->commands != 0 && (o->required & ~o->commands) == 0, "%s", o->name);
        cr_expect(o->type != KT_OPTION_COUNT || o->max > o->min, "%s", o->name);
        cr_expect(eq(ptr, (void *)kt_option_find(o->name, strlen(o->name), false),
                     o->config_only ? NULL : (void *)o));
        for (size_t k = 0; k < i; k++)
            cr_expect(kt_option_at(k)->at != o->at, "%s and %s share a setting", o->name,
                      kt_option_at(k)->name);
    }
    cr_assert(kt_option_at(kt_options_count()) == NULL);
}

Test(option_table, every_command_bit_has_a_row)
{
    unsigned all = 0, used = 0;
    for (size_t i = 0; i < kt_commands_count(); i++) {
        cr_expect(eq(uint, all & kt_command_at(i)->bit, 0), "%s shares its bit", kt_command_at(i)->name);
        all |= kt_command_at(i)->bit;
    }
    for (size_t i = 0; i < kt_options_count(); i++)
        used |= kt_option_at(i)->commands;
    cr_assert(eq(uint, all, used));
}

Test(option_table, camel_case)
{
    char camel[64];
    kt_option_camel(option("key-vault-namespace"), camel);
    cr_assert(eq(str, camel, "keyVaultNamespace"));
    cr_assert(kt_option_find("keyVaultNamespace", 17, true) == option("key-vault-namespace"));
    cr_assert(kt_option_find("keyVault", 8, true) == option("key-vault"));
    cr_assert(kt_option_find("key-vault", 9, true) == NULL);
    cr_assert(kt_option_find("tlsOptions", 10, true) != NULL);
    cr_assert(kt_option_find("tls-options", 11, false) == NULL, "belongs to configuration files alone");
}

Test(option_table, nearest_stays_within_the_command)
{
    cr_assert(kt_option_nearest("form", KT_CMD_ENCRYPT, false) == option("from"));
    cr_assert(kt_option_nearest("schema", KT_CMD_ENCRYPT, false) == option("schema-map"));
    cr_assert(kt_option_nearest("schema", KT_CMD_REWRAP, false) == NULL);
    cr_assert(kt_option_nearest("zzzzzzzz", 0, false) == NULL);
}

Test(option_table, values_are_checked)
{
    static const struct {
        const char *name, *text;
        enum kt_status status;
    } cases[] = {
        {"threads", "2", KT_OK},
        {"threads", "0", KT_E_USAGE},
        {"threads", "257", KT_E_USAGE},
        {"threads", "two", KT_E_USAGE},
        {"keys", "0", KT_E_USAGE},
        {"documents", "0", KT_OK},
        {"seed", "18446744073709551615", KT_OK},
        {"log-format", "json", KT_OK},
        {"log-format", "jso", KT_E_USAGE},
        {"log-format", "text|json", KT_E_USAGE},
        {"on-unencryptable", "leave", KT_OK},
        {"older-than", "90d", KT_OK},
        {"older-than", "soon", KT_E_USAGE},
        {"from", "", KT_E_USAGE},
        {"dry-run", "true", KT_E_USAGE},
        {"kms-providers", "{\"local\": {\"key\": \"hunter2\"}}", KT_E_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kt_settings settings = {0};
        struct kt_error err = {.status = KT_OK};
        enum kt_status status =
            kt_option_set(option(cases[i].name), &settings, cases[i].text, NULL, "--x", &err);
        cr_expect(eq(int, status, cases[i].status), "%s %s", cases[i].name, cases[i].text);
        if (status != KT_OK)
            cr_expect(strncmp(err.message, "--x", 3) == 0, "%s", err.message);
        cr_expect(strstr(err.message, "hunter2") == NULL, "%s", err.message);
        kt_settings_cleanup(&settings);
    }
}

Test(option_table, documents_know_their_source)
{
    struct kt_settings settings = {0};
    struct kt_error err;
    cr_assert(kt_option_set(option("kms-providers"), &settings, "env:KMS", "conf", "--x", &err) == KT_OK);
    cr_assert(eq(str, (char *)settings.kms_providers.env, "KMS"));
    cr_assert(settings.kms_providers.file == NULL);
    cr_assert(kt_option_set(option("schema-map"), &settings, "s.json", "conf", "--x", &err) == KT_OK);
    cr_assert(eq(str, (char *)settings.schema_map.file, "conf/s.json"));
    cr_assert(eq(str, (char *)settings.schema_map.name, "conf/s.json"));
    cr_assert(kt_option_set(option("filter"), &settings, "{}", NULL, "--filter", &err) == KT_OK);
    cr_assert(eq(str, (char *)settings.filter.json, "{}"));
    cr_assert(kt_option_set(option("master-key"), &settings, "@/abs.json", "conf", "--x", &err) == KT_OK);
    cr_assert(eq(str, (char *)settings.master_key.file, "/abs.json"));
    kt_settings_cleanup(&settings);
}

Test(option_table, paths_are_relative_to_a_folder)
{
    static const char *const cases[][3] = {
        {"conf", "a.bson", "conf/a.bson"}, {"conf", "/a.bson", "/a.bson"}, {"conf", "-", "-"},
        {"", "a.bson", "a.bson"},          {"/", "a.bson", "//a.bson"},    {NULL, "a.bson", "a.bson"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kt_settings settings = {0};
        struct kt_error err;
        cr_assert(kt_option_set(option("from"), &settings, cases[i][1], cases[i][0], "--x", &err) == KT_OK);
        cr_expect(eq(str, (char *)settings.from, (char *)cases[i][2]));
        kt_settings_cleanup(&settings);
    }
}
