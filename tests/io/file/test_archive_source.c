/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "tests/io/io_support.h"
#include "tests/support/shared.h"

TestSuite(archive_source, .fini = kt_tmp_remove);

static struct kt_span span(const struct kt_buf *buf)
{
    return kt_span_of(buf->data, buf->nbytes);
}

static void expect_refused(struct kt_buf archive, enum kt_status want, const char *word)
{
    const char *path = kt_tmp_path("bad.archive");
    struct kt_buf all;
    struct kt_error err;
    kt_write_file(path, archive.data, archive.nbytes);
    kt_buf_free(&archive);
    cr_assert_eq(kt_read_store(path, 4096, &all, &err), want, "%s", word);
    cr_assert(strstr(err.message, "bad.archive") && strstr(err.message, word), "%s, not: %s", word,
              err.message);
    kt_buf_free(&all);
}

Test(archive_source, entries_and_pieces)
{
    struct kt_buf archive = kt_archive_sample(20);
    kt_write_file(kt_tmp_path("a"), archive.data, archive.nbytes);
    static const struct {
        const char *ns;
        bool is_oplog;
        uint64_t nbytes;
    } expected[] = {{"shop.a", false, 3 * 20 * 82},
                    {"shop.b.c", false, 3 * 20 * 222},
                    {"shop.v", false, 0},
                    {"shop.none", false, 0},
                    {"", true, 20 * 82}};
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("a"), NULL, &err), KT_OK, "%s", err.message);
    cr_assert_eq(kt_source_container(source), KT_ARCHIVE);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_str_eq(kt_source_entry(source, i)->ns, expected[i].ns);
        cr_assert_eq(kt_source_entry(source, i)->is_oplog, expected[i].is_oplog);
        cr_assert_eq(kt_source_entry(source, i)->named, KT_NAMED_BY_STORE);
    }
    cr_assert_null(kt_source_entry(source, 5));
    uint64_t nbytes[5] = {0};
    unsigned opened[5] = {0}, closed[5] = {0}, segments[5] = {0};
    struct kt_region region = {0};
    struct kt_piece piece;
    for (;;) {
        cr_assert_eq(kt_source_next(source, 500, &region, &piece, &err), KT_OK, "%s", err.message);
        if (piece.kind == KT_PIECE_END)
            break;
        cr_assert_eq(piece.kind, KT_PIECE_DOCS);
        cr_assert_eq(piece.at, nbytes[piece.entry]);
        cr_assert_eq(piece.opens, opened[piece.entry] == 0);
        cr_assert_eq(closed[piece.entry], 0u);
        nbytes[piece.entry] += piece.nbytes;
        opened[piece.entry] += piece.opens;
        closed[piece.entry] += piece.closes;
        segments[piece.entry] += piece.segment;
    }
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(nbytes[i], expected[i].nbytes, "entry %u", i);
        cr_assert_eq(closed[i], i != 2);
    }
    cr_assert(segments[0] == 3 && segments[1] == 3 && segments[3] == 1 && segments[4] == 1);
    kt_source_close(source);
    kt_region_free(&region);
    kt_buf_free(&archive);
}

Test(archive_source, cut_off_at_every_byte)
{
    struct kt_buf archive = kt_archive_sample(1), all;
    const char *path = kt_tmp_path("cut.archive");
    for (size_t n = 4; n < archive.nbytes; n++) {
        struct kt_error err;
        kt_write_file(path, archive.data, n);
        cr_assert_eq(kt_read_store(path, 4096, &all, &err), KT_E_FORMAT, "%zu of %zu bytes", n,
                     archive.nbytes);
        kt_buf_free(&all);
    }
    kt_write_file(path, archive.data, archive.nbytes);
    cr_assert_eq(kt_read_store(path, 4096, &all, NULL), KT_OK);
    kt_buf_free(&all);
    kt_buf_free(&archive);
}

/* Whatever one byte becomes, the archive is refused or read; a changed byte of a document is always found. */
Test(archive_source, every_byte_flipped)
{
    struct kt_buf archive = kt_archive_sample(2), all;
    const char *path = kt_tmp_path("flipped.archive");
    unsigned read = 0;
    for (size_t i = 0; i < archive.nbytes; i++) {
        archive.data[i] ^= 0x41;
        kt_write_file(path, archive.data, archive.nbytes);
        read += kt_read_store(path, 4096, &all, NULL) == KT_OK;
        kt_buf_free(&all);
        archive.data[i] ^= 0x41;
    }
    /* What is left are texts that nothing depends on: versions of server and tool, sizes, option names. */
    cr_assert_lt(read, archive.nbytes / 3, "%u of %zu", read, archive.nbytes);
    for (size_t i = 0; i < archive.nbytes; i++) {
        if (memcmp(archive.data + i, "\x02t\0\x3d", 4) != 0)
            continue;
        archive.data[i + 10] ^= 1; /* inside a document's text */
        struct kt_error err;
        kt_write_file(path, archive.data, archive.nbytes);
        cr_assert_eq(kt_read_store(path, 4096, &all, &err), KT_E_FORMAT);
        cr_assert(strstr(err.message, "checksum"), "%s", err.message);
        kt_buf_free(&all);
        archive.data[i + 10] ^= 1;
    }
    kt_buf_free(&archive);
}

static struct kt_buf begun(void)
{
    struct kt_buf a = {0};
    kt_archive_begin(&a, "0.1");
    kt_archive_list(&a, "d", "c", "{}", "collection");
    kt_archive_mark(&a);
    return a;
}

Test(archive_source, broken_structures)
{
    struct kt_buf docs = kt_documents(2, 30), a = {0};
    uint64_t crc = kt_crc64(0, docs.data, docs.nbytes);

    kt_archive_begin(&a, "0.2");
    kt_archive_mark(&a);
    expect_refused(a, KT_E_FORMAT, "version 0.1");

    a = (struct kt_buf){0};
    cr_assert_eq(kt_buf_append(&a, "\x6d\xe2\x99\x81\xff\xff\xff\xff", 8), KT_OK);
    expect_refused(a, KT_E_FORMAT, "no header");

    a = begun();
    kt_archive_mark(&a);
    expect_refused(a, KT_E_FORMAT, "a segment without a header");

    a = begun();
    kt_archive_segment(&a, "d", "c", span(&docs));
    expect_refused(a, KT_E_FORMAT, "d.c: byte");

    a = begun();
    kt_archive_segment(&a, "d", "c", span(&docs));
    kt_archive_eof(&a, "d", "c", crc ^ 1);
    expect_refused(a, KT_E_FORMAT, "checksum");

    a = begun();
    kt_archive_segment(&a, "d", "c", span(&docs));
    kt_archive_eof(&a, "d", "c", crc);
    kt_archive_segment(&a, "d", "c", span(&docs));
    expect_refused(a, KT_E_FORMAT, "goes on after its end");

    a = begun();
    kt_archive_eof(&a, "d", "c", 0);
    a.nbytes -= 4;
    cr_assert_eq(kt_buf_append(&a, docs.data, docs.nbytes), KT_OK);
    kt_archive_mark(&a);
    expect_refused(a, KT_E_FORMAT, "a document where the namespace has ended");

    a = begun();
    kt_archive_segment(&a, "d", "", span(&docs));
    expect_refused(a, KT_E_FORMAT, "no header of a namespace");

    a = begun();
    cr_assert_eq(kt_buf_append(&a, docs.data, docs.nbytes), KT_OK);
    expect_refused(a, KT_E_FORMAT, "no header of a namespace");

    a = begun();
    expect_refused(a, KT_E_FORMAT, "listed and has not come");

    a = (struct kt_buf){0};
    kt_archive_begin(&a, "0.1");
    kt_archive_list(&a, "d", "c", "{\"a\"", "collection");
    kt_archive_mark(&a);
    expect_refused(a, KT_E_FORMAT, "d.c: the metadata is no JSON");

    a = (struct kt_buf){0};
    kt_archive_begin(&a, "0.1");
    cr_assert_eq(kt_buf_append(&a, docs.data, docs.nbytes), KT_OK);
    kt_archive_mark(&a);
    expect_refused(a, KT_E_FORMAT, "broken list of collections");
    kt_buf_free(&docs);
}

/* Namespaces that the list does not name (the buckets of time series), and archives of early versions whose
 * headers have no CRC. */
Test(archive_source, unlisted_namespaces_and_no_checksum)
{
    struct kt_buf docs = kt_documents(2, 30), a = {0}, all;
    kt_archive_begin(&a, "0.1");
    kt_archive_list(&a, "d", "ts", "{}", "timeseries");
    kt_archive_mark(&a);
    kt_archive_segment(&a, "d", "system.buckets.ts", span(&docs));
    bson_t *eof =
        BCON_NEW("db", BCON_UTF8("d"), "collection", BCON_UTF8("system.buckets.ts"), "EOF", BCON_BOOL(true));
    cr_assert_eq(kt_buf_append(&a, bson_get_data(eof), eof->len), KT_OK);
    bson_destroy(eof);
    kt_archive_mark(&a);
    const char *path = kt_tmp_path("ts.archive");
    kt_write_file(path, a.data, a.nbytes);
    struct kt_error err;
    cr_assert_eq(kt_read_store(path, 4096, &all, &err), KT_OK, "%s", err.message);
    cr_assert(kt_span_equal(span(&all), span(&docs)));
    struct kt_source *source;
    cr_assert_eq(kt_source_open(&source, path, NULL, NULL), KT_OK);
    cr_assert(kt_source_entry(source, 0)->is_timeseries);
    kt_source_close(source);
    kt_buf_free(&all);
    kt_buf_free(&a);
    kt_buf_free(&docs);
}

/* Very many namespaces, many small segments: the time must not grow with the square. */
Test(archive_source, many_namespaces)
{
    enum { N = 20000 };
    struct kt_buf doc = kt_documents(1, 30), a = {0}, all;
    uint64_t crc = kt_crc64(0, doc.data, doc.nbytes);
    char name[32];
    kt_archive_begin(&a, "0.1");
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "c%d", i);
        kt_archive_list(&a, "d", name, "{}", "collection");
    }
    kt_archive_mark(&a);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "c%d", i);
        kt_archive_segment(&a, "d", name, span(&doc));
        kt_archive_eof(&a, "d", name, crc);
    }
    kt_write_file(kt_tmp_path("many.archive"), a.data, a.nbytes);
    struct kt_error err;
    cr_assert_eq(kt_read_store(kt_tmp_path("many.archive"), 4 << 20, &all, &err), KT_OK, "%s", err.message);
    cr_assert_eq(all.nbytes, N * doc.nbytes);
    kt_buf_free(&all);
    kt_buf_free(&a);
    kt_buf_free(&doc);
}

Test(archive_source, published_archives)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    struct kt_buf all;
    struct kt_error err;
    cr_assert_eq(kt_read_store(kt_shared_path("vectors/archives/bad-format.archive"), 4096, &all, &err),
                 KT_E_FORMAT);
    cr_assert(strstr(err.message, "test.ixtest"), "%s", err.message);
    kt_buf_free(&all);
    static const struct {
        const char *name;
        size_t nbytes; /* of documents */
    } good[] = {{"test.bar", 59 + 35}, {"dump-w-oplog", 59 + 725 + 2760}, {"timeseries", 59 + 38020}};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "vectors/archives/%s.archive", good[i].name);
        cr_assert_eq(kt_read_store(kt_shared_path(name), 4096, &all, &err), KT_OK, "%s", err.message);
        cr_assert_eq(all.nbytes, good[i].nbytes, "%s", name);
        kt_buf_free(&all);
    }
}
