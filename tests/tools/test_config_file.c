/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/config_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/option_table.h"

static char folder[64], file[96];
static struct kt_settings settings;
static struct kt_error err;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/keyturn-config.XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(file, sizeof file, "%s/keyturn.json", folder);
}

static void cleanup(void)
{
    kt_settings_cleanup(&settings);
    unlink(file);
    rmdir(folder);
}

TestSuite(config_file, .init = setup, .fini = cleanup);

static enum kt_status read_config(const char *json, unsigned bit)
{
    FILE *out = fopen(file, "w");
    cr_assert(out != NULL);
    fputs(json, out);
    fclose(out);
    err = (struct kt_error){.status = KT_OK};
    return kt_config_read(file, bit, &settings, &err);
}

Test(config_file, every_type)
{
    char expected[200];
    cr_assert(
        eq(int,
           read_config("{\"from\": \"dump\", \"to\": \"/abs/out\", \"keyVault\": \"-\", \"threads\": 3,"
                       " \"dryRun\": true, \"quiet\": false, \"nsInclude\": [\"a.*\", \"b.c\"],"
                       " \"nsExclude\": \"x.y\", \"onUnencryptable\": \"leave\", \"maxFailures\": 0,"
                       " \"schemaMap\": {\"a.b\": {\"bsonType\": \"object\"}}, \"kmsProviders\": \"k.json\"}",
                       KT_CMD_ENCRYPT),
           KT_OK),
        "%s", err.message);
    snprintf(expected, sizeof expected, "%s/dump", folder);
    cr_assert(eq(str, (char *)settings.from, expected));
    cr_assert(eq(str, (char *)settings.to, "/abs/out"));
    cr_assert(eq(str, (char *)settings.key_vault, "-"));
    cr_assert(eq(u64, settings.threads, 3));
    cr_assert(settings.dry_run && !settings.quiet);
    cr_assert(eq(sz, settings.ns_include.count, 2));
    cr_assert(eq(sz, settings.ns_exclude.count, 1));
    cr_assert(eq(str, (char *)settings.on_unencryptable, "leave"));
    cr_assert(settings.schema_map.bson != NULL && settings.schema_map.file == NULL);
    snprintf(expected, sizeof expected, "%s/k.json", folder);
    cr_assert(eq(str, (char *)settings.kms_providers.file, expected));
}

Test(config_file, the_command_line_wins)
{
    const struct kt_option *from = kt_option_find("from", 4, false);
    settings.from = "mine";
    settings.given[kt_option_index(from)] = KT_GIVEN_COMMAND;
    cr_assert(eq(int, read_config("{\"from\": \"dump\", \"threads\": 2}", KT_CMD_ENCRYPT), KT_OK));
    cr_assert(eq(str, (char *)settings.from, "mine"));
    cr_assert(eq(u64, settings.threads, 2));
}

Test(config_file, options_of_other_commands_are_checked_and_passed_over)
{
    cr_assert(eq(int, read_config("{\"provider\": \"local:new\", \"threads\": 2}", KT_CMD_ENCRYPT), KT_OK));
    cr_assert(settings.provider == NULL);
    kt_settings_cleanup(&settings);
    cr_assert(eq(int, read_config("{\"olderThan\": \"never\"}", KT_CMD_ENCRYPT), KT_E_USAGE));
}

Test(config_file, mistakes_name_file_and_key)
{
    static const char *const cases[][2] = {
        {"{\"schemamap\": {}}", "did you mean \"schemaMap\"?"},
        {"{\"key-vault\": \"x\"}", "did you mean \"keyVault\"?"},
        {"{\"zzzzzzzzzzz\": 1}", "unknown key \"zzzzzzzzzzz\""},
        {"{\"config\": \"other.json\"}", "cannot name another (\"config\")"},
        {"{\"threads\": \"2\"}", "threads must be a whole number"},
        {"{\"threads\": 99999999999999999999}", "does not fit into 64 bits"},
        {"{\"threads\": 2.5}", "threads must be a whole number"},
        {"{\"threads\": -1}", "threads: '-1' is no whole number"},
        {"{\"dryRun\": 1}", "dryRun must be true or false"},
        {"{\"from\": {}}", "from must be a string"},
        {"{\"from\": \"a\\u0000b\"}", "from holds a NUL byte"},
        {"{\"nsInclude\": [1]}", "nsInclude must be a string or an array"},
        {"{\"kmsProviders\": 5}", "kmsProviders must be a document or a file's name"},
        {"{\"filter\": \"x\"}", "filter must be a document or \"@FILE\""},
        {"{\"logFormat\": \"xml\"}", "'xml' is none of text|json"},
        {"{\"from\": \"a\", \"from\": \"b\"}", "from is there twice"},
        {"[]", "no JSON object"},
        {"", "is empty"},
        {"{\"from\": ", "no valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum kt_status status = read_config(cases[i][0], KT_CMD_ENCRYPT);
        cr_expect(eq(int, kt_status_category(status), KT_CAT_USAGE), "%s", cases[i][0]);
        cr_expect(strstr(err.message, cases[i][1]) != NULL, "%s: %s", cases[i][0], err.message);
        cr_expect(strncmp(err.message, folder, strlen(folder)) == 0, "%s", err.message);
        kt_settings_cleanup(&settings);
    }
}
