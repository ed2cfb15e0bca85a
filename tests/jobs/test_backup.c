/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/backup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], name[100];
static struct kt_error err;

static void in_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/kt-backup-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/b.bson", folder);
}

static void remove_all(void)
{
    unlink(name);
    rmdir(folder);
}

TestSuite(backup, .init = in_folder, .fini = remove_all);

static off_t size_of(void)
{
    struct stat st;
    return stat(name, &st) == 0 ? st.st_size : -1;
}

static struct kt_span entry_of(struct kt_buf *out)
{
    bson_t *doc = BCON_NEW("_id", BCON_INT32(1));
    cr_assert_eq(kt_buf_append(out, bson_get_data(doc), doc->len), KT_OK);
    bson_destroy(doc);
    return kt_span_of(out->data, out->nbytes);
}

Test(backup, is_the_owners_alone_and_never_overwritten)
{
    struct kt_backup backup, other;
    struct stat st;
    cr_assert_eq(kt_backup_create(&backup, name, &err), KT_OK, "%s", err.message);
    cr_assert_eq(stat(name, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(backup.name[0], '/');
    cr_assert_eq(write(backup.fd, "x", 1), 1);
    cr_assert_eq(kt_backup_create(&other, name, &err), KT_E_EXISTS);
    cr_assert_not_null(strstr(err.message, "--backup"));
    kt_backup_close(&other);
    kt_backup_close(&backup);
}

Test(backup, one_that_was_never_begun_is_taken)
{
    struct kt_backup backup;
    struct stat st;
    cr_assert_eq(close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), 0);
    cr_assert_eq(kt_backup_create(&backup, name, &err), KT_OK, "%s", err.message);
    cr_assert_eq(fstat(backup.fd, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(write(backup.fd, "x", 1), 1);
    kt_backup_close(&backup);
    cr_assert_eq(kt_backup_create(&backup, name, &err), KT_E_EXISTS);
    kt_backup_close(&backup);
}

Test(backup, one_without_a_name_takes_a_free_one)
{
    struct kt_backup backups[3];
    cr_assert_eq(chdir(folder), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(kt_backup_create(&backups[i], NULL, &err), KT_OK, "%s", err.message);
        cr_assert_eq(write(backups[i].fd, "x", 1), 1);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_str_neq(backups[i].name, backups[(i + 1) % 3].name);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(unlink(backups[i].name), 0);
        kt_backup_close(&backups[i]);
    }
}

Test(backup, grows_and_goes_on_behind_the_last_whole_entry)
{
    struct kt_backup backup;
    struct kt_buf bytes = {0};
    struct kt_span entry = entry_of(&bytes);
    cr_assert_eq(kt_backup_create(&backup, name, &err), KT_OK);
    cr_assert_eq(kt_backup_put(&backup, entry, &err), KT_OK);
    cr_assert_eq(kt_backup_put(&backup, kt_span_of(entry.data, entry.nbytes - 3), &err), KT_OK); /* a crash */
    kt_backup_close(&backup);
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_OK, "%s", err.message);
    cr_assert_eq(size_of(), (off_t)entry.nbytes);
    cr_assert_eq(kt_backup_put(&backup, entry, &err), KT_OK);
    cr_assert_eq(size_of(), 2 * (off_t)entry.nbytes);
    kt_backup_close(&backup);
    kt_buf_free(&bytes);
}

Test(backup, one_that_is_gone_or_stands_in_no_folder_is_said)
{
    struct kt_backup backup;
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_E_USAGE);
    kt_backup_close(&backup);
    cr_assert_eq(kt_backup_create(&backup, "/nowhere/at/all.bson", &err), KT_E_IO);
    kt_backup_close(&backup);
}
