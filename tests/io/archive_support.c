/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "io/file/crc64.h"
#include "tests/io/io_support.h"

static void append_doc(struct kt_buf *to, bson_t *doc)
{
    cr_assert_eq(kt_buf_append(to, bson_get_data(doc), doc->len), KT_OK);
    bson_destroy(doc);
}

void kt_archive_mark(struct kt_buf *to)
{
    cr_assert_eq(kt_buf_append(to, "\xff\xff\xff\xff", 4), KT_OK);
}

void kt_archive_begin(struct kt_buf *to, const char *version)
{
    cr_assert_eq(kt_buf_append(to, "\x6d\xe2\x99\x81", 4), KT_OK);
    append_doc(to, BCON_NEW("concurrent_collections", BCON_INT32(4), "version", BCON_UTF8(version),
                            "server_version", BCON_UTF8("6.0.5"), "tool_version", BCON_UTF8("100.9.4")));
}

void kt_archive_list(struct kt_buf *to, const char *db, const char *collection, const char *metadata,
                     const char *type)
{
    append_doc(to, BCON_NEW("db", BCON_UTF8(db), "collection", BCON_UTF8(collection), "metadata",
                            BCON_UTF8(metadata), "size", BCON_INT32(0), "type", BCON_UTF8(type)));
}

static void append_header(struct kt_buf *to, const char *db, const char *collection, bool eof, uint64_t crc)
{
    append_doc(to, BCON_NEW("db", BCON_UTF8(db), "collection", BCON_UTF8(collection), "EOF", BCON_BOOL(eof),
                            "CRC", BCON_INT64((int64_t)crc)));
}

void kt_archive_segment(struct kt_buf *to, const char *db, const char *collection, struct kt_span docs)
{
    append_header(to, db, collection, false, 0);
    cr_assert_eq(kt_buf_append(to, docs.data, docs.nbytes), KT_OK);
    kt_archive_mark(to);
}

void kt_archive_eof(struct kt_buf *to, const char *db, const char *collection, uint64_t crc)
{
    append_header(to, db, collection, true, crc);
    kt_archive_mark(to);
}

struct kt_buf kt_archive_sample(uint32_t n)
{
    struct kt_buf all = {0}, a = kt_documents(n, 60), b = kt_documents(n, 200);
    struct kt_span da = {a.data, a.nbytes}, db = {b.data, b.nbytes};
    uint64_t crc_a = 0, crc_b = 0;
    kt_archive_begin(&all, "0.1");
    kt_archive_list(&all, "shop", "a", "{\"options\":{}}", "collection");
    kt_archive_list(&all, "shop", "b.c", "{\"options\":{}}", "collection");
    kt_archive_list(&all, "shop", "v", "{\"options\":{\"viewOn\":\"a\"}}", "view");
    kt_archive_list(&all, "shop", "none", "{}", "collection");
    kt_archive_list(&all, "", "oplog", "", "");
    kt_archive_mark(&all);
    for (int turn = 0; turn < 4; turn++) {
        kt_archive_segment(&all, "shop", "a", da);
        crc_a = kt_crc64(crc_a, a.data, a.nbytes);
        if (turn == 2)
            kt_archive_eof(&all, "shop", "a", crc_a);
        kt_archive_segment(&all, "shop", "b.c", db);
        crc_b = kt_crc64(crc_b, b.data, b.nbytes);
        if (turn == 2)
            break;
    }
    kt_archive_segment(&all, "shop", "none", kt_span_of("", 0));
    kt_archive_eof(&all, "shop", "b.c", crc_b);
    kt_archive_eof(&all, "shop", "none", 0);
    kt_archive_segment(&all, "", "oplog", da);
    kt_archive_eof(&all, "", "oplog", kt_crc64(0, a.data, a.nbytes));
    kt_buf_free(&a);
    kt_buf_free(&b);
    return all;
}
