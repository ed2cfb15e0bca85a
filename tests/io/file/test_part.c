/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/file/part.h"
#include "tests/io/io_support.h"

TestSuite(part, .fini = kt_tmp_remove);

static void expect_open(const char *name, bool folder, enum kt_status want, const char *word)
{
    struct kt_part part;
    struct kt_error err = {0};
    cr_expect_eq(kt_part_look(&part, name, folder, &err), want, "%s: %s", name, err.message);
    kt_part_close(&part);
    cr_assert_eq(kt_part_open(&part, name, folder, &err), want, "%s: %s", name, err.message);
    if (want != KT_OK)
        cr_assert(strstr(err.message, word), "%s, not: %s", word, err.message);
    kt_part_close(&part);
}

Test(part, names_that_are_taken)
{
    kt_make_folders(kt_tmp_path("folder/"));
    kt_write_file(kt_tmp_path("file"), "x", 1);
    cr_assert_eq(symlink("nowhere", kt_tmp_path("dangling")), 0);
    for (int folder = 0; folder < 2; folder++) {
        expect_open(kt_tmp_path("file"), folder, KT_E_EXISTS, "/file: exists");
        expect_open(kt_tmp_path("folder"), folder, KT_E_EXISTS, "/folder: exists");
        expect_open(kt_tmp_path("folder//"), folder, KT_E_EXISTS, "exists");
        expect_open(kt_tmp_path("dangling"), folder, KT_E_EXISTS, "exists");
        expect_open(".", folder, KT_E_EXISTS, "exists");
        expect_open("/", folder, KT_E_EXISTS, "exists");
        expect_open(kt_tmp_path("folder/.."), folder, KT_E_EXISTS, "exists");
        expect_open(kt_tmp_path("absent/x"), folder, KT_E_USAGE, "/absent: No such file");
        expect_open(kt_tmp_path("file/x"), folder, KT_E_USAGE, "Not a directory");
    }
    kt_write_file(kt_tmp_path("a.part"), "", 0);
    kt_make_folders(kt_tmp_path("b.part/"));
    cr_assert_eq(symlink("a.part", kt_tmp_path("c.part")), 0);
    cr_assert_eq(mkfifo(kt_tmp_path("d.part"), 0600), 0);
    expect_open(kt_tmp_path("a"), true, KT_E_USAGE, "a.part: cannot be written: Not a directory");
    expect_open(kt_tmp_path("b"), false, KT_E_USAGE, "b.part: cannot be written: Is a directory");
    expect_open(kt_tmp_path("c"), false, KT_E_USAGE, "c.part: cannot be written");
    expect_open(kt_tmp_path("d"), false, KT_E_USAGE, "d.part: is in the way");
}

Test(part, a_look_leaves_no_trace)
{
    for (int folder = 0; folder < 2; folder++) {
        struct kt_part part;
        cr_assert_eq(kt_part_look(&part, kt_tmp_path("new"), folder, NULL), KT_OK);
        cr_expect(part.is_empty && part.fd < 0);
        kt_part_close(&part);
        cr_expect_neq(access(kt_tmp_path("new.part"), F_OK), 0);
    }
}

Test(part, only_the_owner_may_read)
{
    for (int folder = 0; folder < 2; folder++) {
        struct kt_part part;
        struct stat st;
        umask(0);
        cr_assert_eq(kt_part_open(&part, kt_tmp_path("p%d", folder), folder, NULL), KT_OK);
        cr_assert_eq(stat(kt_tmp_path("p%d.part", folder), &st), 0);
        cr_assert_eq(st.st_mode & 0777, folder ? 0700 : 0600);
        kt_part_close(&part);
    }
}

Test(part, locked_against_another_process)
{
    for (int folder = 0; folder < 2; folder++) {
        const char *name = kt_tmp_path("busy%d", folder);
        struct kt_part part;
        cr_assert_eq(kt_part_open(&part, name, folder, NULL), KT_OK);
        pid_t child = fork();
        if (child == 0) {
            struct kt_part second;
            struct kt_error err;
            char who[64];
            snprintf(who, sizeof who, "process %d is writing it", (int)getppid());
            bool ok = kt_part_open(&second, name, folder, &err) == KT_E_BUSY &&
                      (strstr(err.message, who) || strstr(err.message, "another process"));
            ok = ok && kt_part_look(&second, name, folder, &err) == KT_E_BUSY;
            _exit(ok ? 0 : 1);
        }
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0);
        kt_part_close(&part);
        expect_open(name, folder, KT_OK, "");
    }
}

Test(part, publish_does_not_overwrite)
{
    for (int folder = 0; folder < 2; folder++) {
        struct kt_part part;
        struct kt_error err;
        const char *name = kt_tmp_path("late%d", folder);
        cr_assert_eq(kt_part_open(&part, name, folder, NULL), KT_OK);
        if (folder)
            kt_make_folders(kt_tmp_path("late%d/", folder));
        else
            kt_write_file(name, "theirs", 6);
        cr_assert_eq(kt_part_publish(&part, &err), KT_E_IO, "%s", err.message);
        cr_assert(kt_path_exists(kt_tmp_path("late%d.part", folder)));
        kt_run("rm -r '%s'", name);
        cr_assert_eq(kt_part_publish(&part, &err), KT_OK, "%s", err.message);
        cr_assert(kt_path_exists(name));
        cr_assert_not(kt_path_exists(kt_tmp_path("late%d.part", folder)));
        kt_part_close(&part);
    }
}

Test(part, checkpoint_is_stored_and_found)
{
    struct kt_part part;
    struct kt_error err;
    bson_t *found, *doc = BCON_NEW("a", BCON_INT32(1)),
                   *other = BCON_NEW("b", BCON_UTF8("longer than the first"));
    cr_assert_eq(kt_part_open(&part, kt_tmp_path("p"), false, NULL), KT_OK);
    cr_assert(part.is_empty);
    cr_assert_eq(kt_part_load(&part, &found, &err), KT_OK);
    cr_assert_null(found);
    bson_t *docs[] = {doc, other, doc};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(kt_part_store(&part, docs[i], &err), KT_OK, "%s", err.message);
        cr_assert_eq(kt_part_load(&part, &found, &err), KT_OK, "%s", err.message);
        cr_assert(bson_equal(found, docs[i]));
        bson_destroy(found);
    }
    kt_run("test -z \"$(ls '%s' | grep new)\"", kt_tmp());
    kt_part_discard(&part);
    kt_part_close(&part);
    kt_run("test -z \"$(ls '%s')\"", kt_tmp());
    bson_destroy(doc);
    bson_destroy(other);
}

Test(part, damaged_checkpoint)
{
    struct kt_part part;
    struct kt_error err;
    bson_t *found, *doc = BCON_NEW("a", BCON_INT32(1));
    const char *path = kt_tmp_path("p.part.checkpoint");
    cr_assert_eq(kt_part_open(&part, kt_tmp_path("p"), false, NULL), KT_OK);
    cr_assert_eq(kt_part_store(&part, doc, NULL), KT_OK);
    struct kt_buf bytes = kt_slurp(path);
    for (size_t i = 0; i < bytes.nbytes; i++) {
        bytes.data[i] ^= 0x10;
        kt_write_file(path, bytes.data, bytes.nbytes);
        cr_assert_eq(kt_part_load(&part, &found, &err), KT_E_FORMAT, "byte %zu", i);
        cr_assert(strstr(err.message, "p.part.checkpoint: damaged"), "%s", err.message);
        bytes.data[i] ^= 0x10;
        kt_write_file(path, bytes.data, i);
        cr_assert_eq(kt_part_load(&part, &found, &err), KT_E_FORMAT, "%zu bytes", i);
    }
    kt_part_close(&part);
    kt_buf_free(&bytes);
    bson_destroy(doc);
}
