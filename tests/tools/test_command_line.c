/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/command_line.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define MAX 24

static struct kt_settings settings;
static struct kt_error err;
static bool help;

/* Reads words that are separated by single spaces. */
static enum kt_status parse(const char *text)
{
    static char room[600];
    char *argv[MAX + 1];
    int argc = 0;
    snprintf(room, sizeof room, "%s", text);
    for (char *rest = room; rest && argc < MAX;)
        argv[argc++] = strsep(&rest, " ");
    argv[argc] = NULL;
    kt_settings_cleanup(&settings);
    err = (struct kt_error){.status = KT_OK};
    return kt_command_line_read(kt_command_find(argv[0]), argc, argv, &settings, &help, &err);
}

#define ENCRYPT "encrypt --from a --to b --key-vault kv --kms-providers k.json --schema-map s.json"

static void cleanup(void)
{
    kt_settings_cleanup(&settings);
}

TestSuite(command_line, .fini = cleanup);

Test(command_line, both_spellings_of_a_value)
{
    cr_assert(eq(int, parse(ENCRYPT " --threads=3 --max-failures 4 --dry-run"), KT_OK), "%s", err.message);
    cr_assert(eq(str, (char *)settings.from, "a"));
    cr_assert(eq(str, (char *)settings.to, "b"));
    cr_assert(eq(u64, settings.threads, 3));
    cr_assert(eq(u64, settings.max_failures, 4));
    cr_assert(settings.dry_run && !settings.quiet);
}

Test(command_line, a_value_may_be_a_dash_or_hold_an_equals_sign)
{
    cr_assert(eq(int, parse("verify --from - --key-vault=a=b --kms-providers k --schema-map s"), KT_OK));
    cr_assert(eq(str, (char *)settings.from, "-"));
    cr_assert(eq(str, (char *)settings.key_vault, "a=b"));
}

Test(command_line, lists_collect)
{
    cr_assert(eq(int, parse(ENCRYPT " --ns-include a.* --ns-include=b.c"), KT_OK));
    cr_assert(eq(sz, settings.ns_include.count, 2));
    cr_assert(eq(str, (char *)settings.ns_include.v[1], "b.c"));
    cr_assert(settings.ns_include.v[2] == NULL);
}

Test(command_line, to_is_not_needed_for_a_dry_run)
{
    const char *without = "encrypt --from a --key-vault kv --kms-providers k --schema-map s";
    char dry[200];
    cr_assert(eq(int, parse(without), KT_E_USAGE));
    cr_assert(strstr(err.message, "--to") != NULL);
    snprintf(dry, sizeof dry, "%s --dry-run", without);
    cr_assert(eq(int, parse(dry), KT_OK));
}

Test(command_line, help_goes_before_everything)
{
    cr_assert(parse("encrypt --nonsense --help") == KT_OK && help);
    cr_assert(parse("encrypt -h") == KT_OK && help);
}

Test(command_line, mistakes_are_named_with_a_way_out)
{
    static const char *const cases[][2] = {
        {"encrypt --form a", "did you mean --from?"},
        {"encrypt --zzzzzzzz a", "see keyturn encrypt --help"},
        {"encrypt --provider local", "encrypt takes no --provider"},
        {"encrypt --tls-options x", "unknown option --tls-options"},
        {"encrypt --from", "--from lacks its STORE"},
        {"encrypt --from --to b", "--from lacks its STORE"},
        {"encrypt --from a --from b", "--from is there twice"},
        {"encrypt --yes --yes", "--yes is there twice"},
        {"encrypt --yes=no", "--yes takes no value"},
        {"encrypt --from= --to b", "--from is empty"},
        {"encrypt a", "'a' belongs to no option"},
        {"encrypt -f a", "options have two dashes"},
        {"encrypt -- a", "'--' belongs to no option"},
        {"encrypt --from a", "--to STORE is missing"},
        {"rewrap --older-than x", "is no age"},
        {"sample", "--to STORE is missing"},
        {"encrypt --config /nowhere/at/all", "/nowhere/at/all"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum kt_status status = parse(cases[i][0]);
        cr_expect(status != KT_OK && strstr(err.message, cases[i][1]), "%s: %s", cases[i][0], err.message);
        cr_expect(eq(int, kt_status_category(status), KT_CAT_USAGE), "%s", cases[i][0]);
    }
}

Test(command_line, an_endless_option_name_is_cut)
{
    char name[6000] = "--", *argv[] = {"encrypt", name, NULL};
    memset(name + 2, 'x', sizeof name - 3);
    name[sizeof name - 1] = 0;
    cr_assert(eq(int, kt_command_line_read(kt_command_find("encrypt"), 2, argv, &settings, &help, &err),
                 KT_E_USAGE));
    cr_assert(strstr(err.message, "--help") != NULL);
}

Test(command_line, a_password_in_a_server_name_is_not_repeated)
{
    static const char *const options[] = {"--from", "--to", "--key-vault"};
    for (size_t i = 0; i < 3; i++) {
        char text[300];
        snprintf(text, sizeof text, "encrypt %s a %s b %s c --kms-providers k --schema-map s",
                 i == 0 ? "--from mongodb://u:hunter2@h/ --ns-include" : "--from",
                 i == 1 ? "--to mongodb+srv://u:hunter2@h/ --ns-include" : "--to",
                 i == 2 ? "--key-vault mongodb://u:hunter2@h/ --ns-include" : "--key-vault");
        cr_expect(eq(int, parse(text), KT_E_USAGE));
        cr_expect(strstr(err.message, options[i]) && !strstr(err.message, "hunter2"), "%s", err.message);
    }
}
