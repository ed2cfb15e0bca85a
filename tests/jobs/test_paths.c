/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/paths.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/kt-paths-XXXXXX";

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    fclose(fopen("file", "w"));
    cr_assert_eq(link("file", "hard"), 0);
    cr_assert_eq(symlink("file", "soft"), 0);
    cr_assert_eq(mkdir("dump", 0700), 0);
}

static void cleanup(void)
{
    static const char *const names[] = {"file", "hard", "soft"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    rmdir("dump");
    cr_assert_eq(chdir("/"), 0);
    rmdir(folder);
}

TestSuite(paths, .init = setup, .fini = cleanup);

Test(paths, names_of_one_file_meet)
{
    char full[64];
    snprintf(full, sizeof full, "%s/later", folder);
    cr_expect(kt_paths_meet("file", "./file"));
    cr_expect(kt_paths_meet("file", "hard"));
    cr_expect(kt_paths_meet("soft", "file"));
    cr_expect(kt_paths_meet("later", "dump/../later"));
    cr_expect(kt_paths_meet("later", full));
    cr_expect(kt_paths_meet("dump", "dump/"));
}

Test(paths, others_do_not)
{
    cr_expect_not(kt_paths_meet("file", "later"));
    cr_expect_not(kt_paths_meet("dump/later", "later"));
    cr_expect_not(kt_paths_meet("nowhere/later", "nowhere/later"), "neither can be created");
    cr_expect_not(kt_paths_meet("-", "-"));
    cr_expect_not(kt_paths_meet("/dev/null", "/dev/null"));
    cr_expect_not(kt_paths_meet("mongodb://a", "mongodb://a"));
    cr_expect_not(kt_paths_meet(NULL, "file"));
    cr_expect_not(kt_paths_meet("file", NULL));
}

static enum kt_status apart(const char *file, const char *option, const char *other)
{
    struct kt_error err = {.message = ""};
    const struct kt_named_path mine = {"--report", file}, others[] = {{"--only", NULL}, {option, other}};
    enum kt_status status = kt_paths_apart(&mine, others, 2, &err);
    cr_expect((status == KT_OK) == (strstr(err.message, option) == NULL), "%s", err.message);
    return status;
}

Test(paths, what_is_written_stays_apart)
{
    cr_expect_eq(apart("later", "--from", "file"), KT_OK);
    cr_expect_eq(apart("hard", "--from", "file"), KT_E_USAGE);
    cr_expect_eq(apart("dump/report", "--from", "dump"), KT_E_USAGE);
    cr_expect_eq(apart("dump2", "--from", "dump"), KT_OK);
    cr_expect_eq(apart("out.part", "--from", "out"), KT_OK);
    cr_expect_eq(apart("out.part", "--to", "out"), KT_E_USAGE);
    cr_expect_eq(apart("out.part", "--to", "./out/"), KT_E_USAGE);
    cr_expect_eq(apart("out.part.checkpoint", "--to", "out"), KT_E_USAGE);
    cr_expect_eq(apart("out.json", "--to", "out"), KT_OK);
    cr_expect_eq(apart(NULL, "--to", "out"), KT_OK);
}
