/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/paths.h"

#include <criterion/criterion.h>
#include <limits.h>
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

static void expect_refused(const char *file, const char *says)
{
    struct kt_error err = {.message = ""};
    cr_expect_eq(kt_path_writable(file, "--failures", &err), KT_E_USAGE, "%s", file);
    cr_expect(strstr(err.message, says), "%s", err.message);
    cr_expect(strstr(err.message, "--failures"), "%s", err.message);
}

Test(paths, what_can_be_written_later)
{
    static const char *const fine[] = {"file", "soft", "later", "dump/later", "./later", "/dev/null"};
    char name[NAME_MAX + 2];
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        cr_expect_eq(kt_path_writable(fine[i], "--failures", NULL), KT_OK, "%s", fine[i]);
    expect_refused("nowhere/later", "create it first");
    expect_refused("file/later", "Not a directory");
    expect_refused("dump", "name a file");
    expect_refused("later/", "name a file");
    cr_assert_eq(symlink("nowhere/later", "nothing"), 0);
    expect_refused("nothing", "links to nothing");
    cr_assert_eq(unlink("nothing"), 0);
    memset(name, 'n', sizeof name);
    name[NAME_MAX + 1] = 0;
    expect_refused(name, "too long");
    name[NAME_MAX] = 0;
    cr_expect_eq(kt_path_writable(name, "--failures", NULL), KT_OK);
}

/* What a folder's rights say counts for everyone but root, who becomes somebody else here. */
Test(paths_of_others, a_folder_without_rights)
{
    cr_assert_eq(chdir("/"), 0);
    if (geteuid() == 0)
        cr_assert_eq(setuid(65534), 0);
    expect_refused("later", "in the folder /: Permission denied");
    expect_refused("/etc/passwd", "/etc/passwd cannot be written: Permission denied");
    cr_expect_eq(kt_path_writable("/dev/null", "--failures", NULL), KT_OK);
}
