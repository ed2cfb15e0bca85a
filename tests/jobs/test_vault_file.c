/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/vault_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/crc64.h"
#include "tests/io/io_support.h"
#include "tests/keys/fixture.h"
#include "tests/support/shared.h"

enum { KEYS = 300 };
#define NS "encryption.__keyVault"

static struct fixture f;
static struct kt_buf all; /* the vault's documents back to back */

static void open_fixture(void)
{
    static const char *const ids[] = {"local", NULL};
    fixture_open(&f, ids);
    for (uint32_t i = 0; i < KEYS; i++) {
        char name[16];
        snprintf(name, sizeof name, "name %u", i);
        fixture_add(&f, i, "local", i % 3 ? (const char *const[]){name, NULL} : NULL);
    }
    for (size_t i = 0; i < f.docs_count; i++)
        cr_assert_eq(kt_buf_append(&all, f.docs[i].data, f.docs[i].nbytes), KT_OK);
}

static void close_fixture(void)
{
    kt_buf_free(&all);
    fixture_close(&f);
    kt_tmp_remove();
}

TestSuite(vault_file, .init = open_fixture, .fini = close_fixture);

struct seen {
    size_t count;
    uint32_t numbers[8];
    struct kt_span expected; /* this document, unless NULL */
};

static void found(void *arg, const struct kt_key_doc *key)
{
    struct seen *seen = arg;
    if (seen->count < 8)
        seen->numbers[seen->count] = kt_load_le32(key->id);
    seen->count++;
    if (seen->expected.data)
        cr_assert(kt_span_equal(key->doc, seen->expected));
}

static struct kt_vault_file *opened(const char *path)
{
    struct kt_vault_file *vault;
    struct kt_error err = {0};
    cr_assert_eq(kt_vault_file_open(&vault, path, NS, &err), KT_OK, "%s", err.message);
    return vault;
}

static enum kt_status refused(const char *path, const char *ns, const char *says)
{
    struct kt_vault_file *vault = (void *)1;
    struct kt_error err = {0};
    enum kt_status status = kt_vault_file_open(&vault, path, ns, &err);
    cr_assert_neq(status, KT_OK);
    cr_expect_null(vault);
    cr_expect_not_null(strstr(err.message, path), "%s", err.message);
    cr_expect_not_null(strstr(err.message, says), "\"%s\" lacks \"%s\"", err.message, says);
    return status;
}

static struct seen ask(struct kt_vault_file *vault, struct kt_key_query query, struct kt_span expected)
{
    struct kt_key_source source = kt_vault_file_source(vault);
    struct seen seen = {.expected = expected};
    struct kt_error err = {0};
    cr_assert_eq(source.find(source.context, &query, 1, found, &seen, &err), KT_OK, "%s", err.message);
    return seen;
}

static struct seen ask_name(struct kt_vault_file *vault, const char *name)
{
    return ask(vault, (struct kt_key_query){.name = kt_span_str(name)}, (struct kt_span){0});
}

static struct seen ask_id(struct kt_vault_file *vault, uint32_t n)
{
    uint8_t id[16];
    fixture_id(n, id);
    struct kt_span doc = {0};
    if (n < f.docs_count)
        doc = kt_span_of(f.docs[n].data, f.docs[n].nbytes);
    return ask(vault, (struct kt_key_query){.id = id}, doc);
}

static void check_all(struct kt_vault_file *vault)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char name[16];
        snprintf(name, sizeof name, "name %u", i);
        cr_assert_eq(ask_id(vault, i).count, 1);
        struct seen seen = ask_name(vault, name);
        cr_assert_eq(seen.count, i % 3 ? 1 : 0);
        cr_assert(i % 3 == 0 || seen.numbers[0] == i);
    }
    cr_expect_eq(ask_id(vault, KEYS).count, 0);
    cr_expect_eq(ask_id(vault, UINT32_MAX).count, 0);
    cr_expect_eq(ask_name(vault, "").count, 0);
    cr_expect_eq(ask_name(vault, "name").count, 0);
}

static void check_path(const char *path)
{
    struct kt_vault_file *vault = opened(path);
    check_all(vault);
    kt_vault_file_close(vault);
}

static void write_packed(const char *path, struct kt_span plain, enum kt_codec codec)
{
    struct kt_buf packed = kt_pack(plain, codec);
    kt_make_folders(path);
    kt_write_file(path, packed.data, packed.nbytes);
    kt_buf_free(&packed);
}

static struct kt_span whole(void)
{
    return kt_span_of(all.data, all.nbytes);
}

Test(vault_file, a_lone_file_is_the_vault_whatever_its_name)
{
    const char *plain = kt_tmp_path("anything.bson"), *gzip = kt_tmp_path("kv.gz"),
               *zstd = kt_tmp_path("kv.zst");
    write_packed(plain, whole(), KT_CODEC_NONE);
    write_packed(gzip, whole(), KT_CODEC_GZIP);
    write_packed(zstd, whole(), KT_CODEC_ZSTD);
    check_path(plain);
    check_path(gzip);
    check_path(zstd);
}

Test(vault_file, a_folder_holds_it_under_its_namespace)
{
    struct kt_buf other = kt_documents(100, 50);
    write_packed(kt_tmp_path("plain/shop/customers.bson"), kt_span_of(other.data, other.nbytes),
                 KT_CODEC_NONE);
    write_packed(kt_tmp_path("plain/encryption/__keyVault.bson"), whole(), KT_CODEC_NONE);
    write_packed(kt_tmp_path("packed/encryption/__keyVault.bson.gz"), whole(), KT_CODEC_GZIP);
    write_packed(kt_tmp_path("packed/shop/customers.bson.gz"), kt_span_of(other.data, other.nbytes),
                 KT_CODEC_GZIP);
    check_path(kt_tmp_path("plain"));
    check_path(kt_tmp_path("packed"));
    cr_expect_eq(refused(kt_tmp_path("plain"), "keys.vault", "holds no keys.vault"), KT_E_USAGE);
    kt_buf_free(&other);
}

Test(vault_file, an_archive_holds_it_between_others)
{
    struct kt_buf archive = {0}, other = kt_documents(10, 50);
    size_t half = 0;
    for (int i = 0; i < KEYS / 2; i++)
        half += f.docs[i].nbytes;
    kt_archive_begin(&archive, "0.1");
    kt_archive_list(&archive, "shop", "customers", "{}", "collection");
    kt_archive_list(&archive, "encryption", "__keyVault", "{}", "collection");
    kt_archive_mark(&archive);
    kt_archive_segment(&archive, "encryption", "__keyVault", kt_span_of(all.data, half));
    kt_archive_segment(&archive, "shop", "customers", kt_span_of(other.data, other.nbytes));
    kt_archive_segment(&archive, "encryption", "__keyVault", kt_span_of(all.data + half, all.nbytes - half));
    kt_archive_eof(&archive, "encryption", "__keyVault", kt_crc64(0, all.data, all.nbytes));
    kt_archive_eof(&archive, "shop", "customers", kt_crc64(0, other.data, other.nbytes));
    const char *plain = kt_tmp_path("dump.archive"), *packed = kt_tmp_path("dump.archive.gz");
    write_packed(plain, kt_span_of(archive.data, archive.nbytes), KT_CODEC_NONE);
    write_packed(packed, kt_span_of(archive.data, archive.nbytes), KT_CODEC_GZIP);
    check_path(plain);
    check_path(packed);
    kt_buf_free(&archive);
    kt_buf_free(&other);
}

Test(vault_file, an_empty_vault_has_no_keys)
{
    const char *path = kt_tmp_path("empty.bson");
    write_packed(path, (struct kt_span){0}, KT_CODEC_NONE);
    struct kt_vault_file *vault = opened(path);
    cr_expect_eq(ask_id(vault, 0).count, 0);
    cr_expect_eq(ask_name(vault, "name 1").count, 0);
    kt_vault_file_close(vault);
    kt_vault_file_close(NULL);
}

Test(vault_file, keys_that_share_a_name_or_an_id_are_all_found)
{
    fixture_add(&f, 7, "local", (const char *const[]){"name 1", NULL});
    cr_assert_eq(kt_buf_append(&all, f.docs[KEYS].data, f.docs[KEYS].nbytes), KT_OK);
    const char *path = kt_tmp_path("kv.bson");
    write_packed(path, whole(), KT_CODEC_NONE);
    struct kt_vault_file *vault = opened(path);
    uint8_t id[16];
    fixture_id(7, id);
    cr_expect_eq(ask(vault, (struct kt_key_query){.id = id}, (struct kt_span){0}).count, 2);
    struct seen seen = ask_name(vault, "name 1");
    cr_expect_eq(seen.count, 2);
    cr_expect_eq(seen.numbers[0] + seen.numbers[1], 8);
    kt_vault_file_close(vault);
}

Test(vault_file, long_key_documents_come_whole)
{
    char name[3000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    fixture_add(&f, KEYS, "local", (const char *const[]){name, "short", NULL});
    cr_assert_gt(f.docs[KEYS].nbytes, 3000);
    const char *path = kt_tmp_path("kv.bson");
    write_packed(path, kt_span_of(f.docs[KEYS].data, f.docs[KEYS].nbytes), KT_CODEC_NONE);
    struct kt_vault_file *vault = opened(path);
    cr_expect_eq(ask_id(vault, KEYS).count, 1);
    cr_expect_eq(ask_name(vault, "short").count, 1);
    cr_expect_eq(ask_name(vault, name).count, 1);
    kt_vault_file_close(vault);
}

Test(vault_file, what_is_no_key_document_is_named_by_its_offset)
{
    struct kt_buf other = kt_documents(1, 20), mixed = {0};
    char says[64];
    cr_assert_eq(kt_buf_append(&mixed, all.data, all.nbytes), KT_OK);
    cr_assert_eq(kt_buf_append(&mixed, other.data, other.nbytes), KT_OK);
    const char *path = kt_tmp_path("kv.bson"), *packed = kt_tmp_path("kv.bson.gz");
    write_packed(path, kt_span_of(mixed.data, mixed.nbytes), KT_CODEC_NONE);
    write_packed(packed, kt_span_of(mixed.data, mixed.nbytes), KT_CODEC_GZIP);
    snprintf(says, sizeof says, "offset %zu: ", all.nbytes);
    cr_expect_eq(refused(path, NS, says), KT_E_KEY);
    cr_expect_eq(refused(packed, NS, says), KT_E_KEY);
    kt_buf_free(&other);
    kt_buf_free(&mixed);
}

Test(vault_file, a_file_cut_short_is_refused)
{
    const char *path = kt_tmp_path("kv.bson"), *packed = kt_tmp_path("kv.zst");
    write_packed(path, kt_span_of(all.data, all.nbytes - 1), KT_CODEC_NONE);
    cr_expect_eq(refused(path, NS, ""), KT_E_FORMAT);
    struct kt_buf zstd = kt_pack(whole(), KT_CODEC_ZSTD);
    kt_write_file(packed, zstd.data, zstd.nbytes / 2);
    cr_expect_eq(refused(packed, NS, ""), KT_E_FORMAT);
    kt_buf_free(&zstd);
}

Test(vault_file, a_missing_file_is_refused)
{
    cr_expect_eq(refused(kt_tmp_path("nowhere.bson"), NS, ""), KT_E_USAGE);
}

Test(vault_file, a_file_that_changes_while_it_is_used_is_noticed)
{
    const char *path = kt_tmp_path("kv.bson");
    write_packed(path, whole(), KT_CODEC_NONE);
    struct kt_vault_file *vault = opened(path);
    struct kt_key_source source = kt_vault_file_source(vault);
    struct seen seen = {0};
    struct kt_error err = {0};
    uint8_t id[16];
    fixture_id(KEYS - 1, id);
    struct kt_key_query query = {.id = id};
    kt_run("truncate -s %zu '%s'", all.nbytes - 10, path);
    cr_expect_eq(source.find(source.context, &query, 1, found, &seen, &err), KT_E_IO);
    cr_expect_not_null(strstr(err.message, path), "%s", err.message);
    kt_run("head -c %zu /dev/zero | dd of='%s' conv=notrunc status=none", all.nbytes, path);
    cr_expect_eq(source.find(source.context, &query, 1, found, &seen, &err), KT_E_IO);
    cr_expect_eq(seen.count, 0);
    kt_vault_file_close(vault);
}

Test(vault_file, a_key_table_settles_from_it)
{
    const char *path = kt_tmp_path("kv.bson");
    write_packed(path, whole(), KT_CODEC_NONE);
    struct kt_vault_file *vault = opened(path);
    struct kt_key_table *table;
    struct kt_key_table_options options = {
        .providers = f.providers, .secmem = f.secmem, .source = kt_vault_file_source(vault)};
    cr_assert_eq(kt_key_table_new(&table, &options, f.engine, NULL), KT_OK);
    uint32_t handles[] = {fixture_handle(table, 5), fixture_name(table, "name 5"), fixture_handle(table, 9),
                          fixture_handle(table, 100000)};
    bool settled;
    cr_assert_eq(kt_key_table_settle(table, f.engine, handles, 4, NULL, &settled, NULL), KT_OK);
    cr_expect(settled);
    cr_expect_eq(kt_key_table_key(table, handles[1]), handles[0]);
    cr_expect_eq(kt_key_table_state(table, handles[2]), KT_KEY_READY);
    cr_expect_eq(kt_key_table_state(table, handles[3]), KT_KEY_FAILED);
    kt_key_table_free(table);
    kt_vault_file_close(vault);
}

Test(vault_file, the_published_vault_of_all_providers_is_read)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    struct kt_vault_file *vault = opened(kt_shared_path("vectors/csfle-corpus/bson/keyvault.datakeys.bson"));
    static const char *const names[] = {"local", "aws", "azure", "gcp", "kmip"};
    for (int i = 0; i < 5; i++)
        cr_expect_eq(ask_name(vault, names[i]).count, 1, "%s", names[i]);
    kt_vault_file_close(vault);
}
