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

/* Entries of `count` keys, one behind the other. */
static struct kt_span entries_of(struct kt_buf *out, uint8_t count)
{
    static const uint8_t material[160] = {1};
    bson_t *master = BCON_NEW("provider", BCON_UTF8("local"));
    struct kt_span master_key = kt_span_of(bson_get_data(master), master->len);
    for (uint8_t i = 0; i < count; i++) {
        uint8_t id[16] = {i};
        struct kt_buf old = {0};
        struct kt_key_doc key;
        const struct kt_key_doc_new made = {
            .id = id, .key_material = kt_span_of(material, sizeof material), .master_key = master_key};
        cr_assert_eq(kt_key_doc_build(&made, &old), KT_OK);
        cr_assert_eq(kt_key_doc_parse(kt_span_of(old.data, old.nbytes), &key, &err), KT_OK, "%s",
                     err.message);
        cr_assert_eq(kt_backup_entry(out, "a.b", &key, made.key_material, master_key), KT_OK);
        kt_buf_free(&old);
    }
    bson_destroy(master);
    return kt_span_of(out->data, out->nbytes);
}

static void put_file(const void *data, size_t nbytes)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, data, nbytes), (ssize_t)nbytes);
    cr_assert_eq(close(fd), 0);
}

static void assert_left_alone(const void *data, size_t nbytes)
{
    struct kt_backup backup;
    uint8_t *now = malloc(nbytes + 1);
    put_file(data, nbytes);
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_E_FORMAT);
    cr_assert_not_null(strstr(err.message, "is no backup"));
    kt_backup_close(&backup);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(read(fd, now, nbytes + 1), (ssize_t)nbytes);
    cr_assert_eq(memcmp(now, data, nbytes), 0);
    close(fd);
    free(now);
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
    struct kt_span entry = entries_of(&bytes, 1);
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

Test(backup, goes_on_behind_many_entries_and_in_an_empty_file)
{
    struct kt_backup backup;
    struct kt_buf bytes = {0};
    struct kt_span entries = entries_of(&bytes, 40);
    static const size_t torn[] = {0, 1, 4, 100};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(kt_buf_append(&bytes, entries.data, torn[i]), KT_OK);
        put_file(bytes.data, bytes.nbytes);
        cr_assert_eq(kt_backup_append(&backup, name, &err), KT_OK, "%s", err.message);
        cr_assert_eq(size_of(), (off_t)entries.nbytes);
        kt_backup_close(&backup);
        bytes.nbytes = entries.nbytes;
        entries.data = bytes.data;
    }
    put_file("", 0);
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_OK, "%s", err.message);
    kt_backup_close(&backup);
    kt_buf_free(&bytes);
}

Test(backup, what_is_no_backup_is_left_as_it_is)
{
    struct kt_buf bytes = {0};
    struct kt_span entry = entries_of(&bytes, 1);
    bson_t *doc = BCON_NEW("_id", BCON_INT32(1));
    assert_left_alone("x", 1);
    assert_left_alone("a line of text\n", 15);
    assert_left_alone("\0\0\0\0\0\0\0\0", 8);
    assert_left_alone(bson_get_data(doc), doc->len);
    assert_left_alone(entry.data, entry.nbytes - 1);
    cr_assert_eq(kt_buf_append(&bytes, bson_get_data(doc), doc->len), KT_OK);
    assert_left_alone(bytes.data, bytes.nbytes);
    bson_destroy(doc);
    kt_buf_free(&bytes);
}

Test(backup, neither_a_link_nor_a_pipe_is_one)
{
    struct kt_backup backup;
    cr_assert_eq(symlink("/dev/null", name), 0);
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_E_FORMAT);
    kt_backup_close(&backup);
    cr_assert_eq(unlink(name), 0);
    cr_assert_eq(mkfifo(name, 0600), 0);
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_E_FORMAT);
    kt_backup_close(&backup);
}

Test(backup, one_that_is_gone_or_stands_in_no_folder_is_said)
{
    struct kt_backup backup;
    cr_assert_eq(kt_backup_append(&backup, name, &err), KT_E_USAGE);
    kt_backup_close(&backup);
    cr_assert_eq(kt_backup_create(&backup, "/nowhere/at/all.bson", &err), KT_E_IO);
    kt_backup_close(&backup);
}
