/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/io_support.h"
#include "tests/support/shared.h"

TestSuite(lone_source, .fini = kt_tmp_remove);

static void expect_name(const char *path, const char *fallback, const char *ns, enum kt_named named)
{
    struct kt_source *source;
    struct kt_error err;
    struct kt_source_options options = {.ns = fallback};
    cr_assert_eq(kt_source_open(&source, path, &options, &err), KT_OK, "%s", err.message);
    cr_assert_eq(kt_source_container(source), KT_BSON_FILE);
    const struct kt_entry *entry = kt_source_entry(source, 0);
    cr_assert_str_eq(entry->ns, ns);
    cr_assert_eq(entry->named, named);
    cr_assert_str_eq(entry->file, "");
    cr_assert_not(entry->is_oplog);
    cr_assert_null(kt_source_entry(source, 1));
    kt_source_close(source);
}

Test(lone_source, names)
{
    struct kt_buf docs = kt_documents(3, 10);
    struct kt_buf packed = kt_pack(kt_span_of(docs.data, docs.nbytes), KT_CODEC_GZIP);
    kt_write_file(kt_tmp_path("shop/customers.bson"), docs.data, docs.nbytes);
    kt_write_file(kt_tmp_path("shop/caf%%C3%%A9s.bson.gz"), packed.data, packed.nbytes);
    kt_write_file(kt_tmp_path("shop/dump"), docs.data, docs.nbytes);
    kt_write_file(kt_tmp_path("shop/short.bson"), docs.data, docs.nbytes);
    static const char metadata[] = "{\"options\":{},\"collectionName\":\"the whole name\"}";
    kt_write_file(kt_tmp_path("shop/short.metadata.json"), metadata, sizeof metadata - 1);
    kt_write_file(kt_tmp_path("shop/old.bson"), docs.data, docs.nbytes);
    struct kt_buf old = kt_pack(kt_span_str("{\"options\":{}}"), KT_CODEC_GZIP);
    kt_write_file(kt_tmp_path("shop/old.metadata.json.gz"), old.data, old.nbytes);

    expect_name(kt_tmp_path("shop/customers.bson"), NULL, "shop.customers", KT_NAMED_BY_FILE);
    expect_name(kt_tmp_path("shop/customers.bson"), "a.b", "shop.customers", KT_NAMED_BY_FILE);
    expect_name(kt_tmp_path("shop/../shop/caf%%C3%%A9s.bson.gz"), NULL, "shop.caf\xc3\xa9s",
                KT_NAMED_BY_FILE);
    expect_name(kt_tmp_path("shop/dump"), NULL, "", KT_NAMED_NOT);
    expect_name(kt_tmp_path("shop/dump"), "a.b", "a.b", KT_NAMED_BY_CALLER);
    expect_name(kt_tmp_path("shop/short.bson"), NULL, "shop.the whole name", KT_NAMED_BY_STORE);
    expect_name(kt_tmp_path("shop/old.bson"), NULL, "shop.old", KT_NAMED_BY_STORE);

    struct kt_source *source;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("shop/customers.bson"), NULL, NULL), KT_OK);
    cr_assert_eq(kt_source_set_ns(source, "other.name", NULL), KT_OK);
    cr_assert_str_eq(kt_source_entry(source, 0)->ns, "other.name");
    cr_assert_eq(kt_source_entry(source, 0)->named, KT_NAMED_BY_CALLER);
    kt_source_close(source);
    kt_buf_free(&docs);
    kt_buf_free(&packed);
    kt_buf_free(&old);
}

Test(lone_source, metadata_that_is_no_json)
{
    struct kt_buf docs = kt_documents(3, 10);
    kt_write_file(kt_tmp_path("shop/c.bson"), docs.data, docs.nbytes);
    kt_write_file(kt_tmp_path("shop/c.metadata.json"), "{\"a\"", 4);
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("shop/c.bson"), NULL, &err), KT_E_FORMAT);
    cr_assert(strstr(err.message, "shop/c.metadata.json: "), "%s", err.message);
    kt_buf_free(&docs);
}

Test(lone_source, what_cannot_be_opened)
{
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("absent.bson"), NULL, &err), KT_E_USAGE);
    cr_assert(strstr(err.message, "absent.bson") && strstr(err.message, "No such file"), "%s", err.message);
    cr_assert_null(source);
    cr_assert_eq(kt_source_open(&source, "", NULL, &err), KT_E_USAGE);
    cr_assert_eq(kt_source_open(&source, "/dev/zero", NULL, &err), KT_OK);
    struct kt_region region = {0};
    struct kt_piece piece;
    cr_assert_eq(kt_source_next(source, 100, &region, &piece, &err), KT_E_FORMAT, "zeros are no documents");
    kt_region_free(&region);
    kt_source_close(source);
}

Test(lone_source, pieces_open_and_close_once)
{
    struct kt_buf docs = kt_documents(200, 300);
    kt_write_file(kt_tmp_path("c.bson"), docs.data, docs.nbytes);
    kt_write_file(kt_tmp_path("empty.bson"), "", 0);
    for (size_t want = 1; want < 200000; want = want * 3 + 1) {
        struct kt_source *source;
        struct kt_region region = {0};
        struct kt_piece piece;
        struct kt_error err;
        uint64_t at = 0;
        unsigned opened = 0, closed = 0;
        cr_assert_eq(kt_source_open(&source, kt_tmp_path("c.bson"), NULL, &err), KT_OK);
        for (;;) {
            cr_assert_eq(kt_source_next(source, want, &region, &piece, &err), KT_OK, "%s", err.message);
            if (piece.kind == KT_PIECE_END)
                break;
            cr_assert_eq(piece.at, at);
            cr_assert_eq(closed, 0u);
            at += piece.nbytes;
            opened += piece.opens;
            closed += piece.closes;
        }
        cr_assert_eq(at, docs.nbytes);
        cr_assert(opened == 1 && closed == 1);
        uint64_t done, total;
        kt_source_progress(source, &done, &total);
        cr_assert(done == docs.nbytes && total == docs.nbytes);
        cr_assert_eq(kt_source_next(source, want, &region, &piece, &err), KT_OK);
        cr_assert_eq(piece.kind, KT_PIECE_END, "and again");
        kt_source_close(source);
        kt_region_free(&region);
    }
    struct kt_source *source;
    struct kt_region region = {0};
    struct kt_piece piece;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("empty.bson"), NULL, NULL), KT_OK);
    cr_assert_eq(kt_source_next(source, 100, &region, &piece, NULL), KT_OK);
    cr_assert(piece.kind == KT_PIECE_DOCS && piece.opens && piece.closes && piece.nbytes == 0);
    cr_assert_eq(kt_source_next(source, 100, &region, &piece, NULL), KT_OK);
    cr_assert_eq(piece.kind, KT_PIECE_END);
    kt_source_close(source);
    kt_region_free(&region);
    kt_buf_free(&docs);
}

/* The largest document that is legal, and one byte more. */
Test(lone_source, the_largest_document)
{
    struct kt_buf least = kt_documents(1, 0);
    size_t empty = least.nbytes;
    kt_buf_free(&least);
    struct kt_buf docs = kt_documents(2, KT_DOC_READ_MAX_NBYTES - empty);
    cr_assert_eq(kt_load_le32(docs.data), KT_DOC_READ_MAX_NBYTES);
    kt_write_file(kt_tmp_path("c.bson"), docs.data, docs.nbytes);
    struct kt_buf all;
    struct kt_error err;
    cr_assert_eq(kt_read_store(kt_tmp_path("c.bson"), 4 << 20, &all, &err), KT_OK, "%s", err.message);
    cr_assert(kt_span_equal(kt_span_of(all.data, all.nbytes), kt_span_of(docs.data, docs.nbytes)));
    kt_buf_free(&all);
    kt_buf_free(&docs);
    docs = kt_documents(1, KT_DOC_READ_MAX_NBYTES - empty + 1);
    kt_write_file(kt_tmp_path("d.bson"), docs.data, docs.nbytes);
    cr_assert_eq(kt_read_store(kt_tmp_path("d.bson"), 4 << 20, &all, &err), KT_E_FORMAT);
    kt_buf_free(&all);
    kt_buf_free(&docs);
}

/* A reader that gives the file in pieces through a FIFO; then stdin. */
Test(lone_source, pipes)
{
    struct kt_buf docs = kt_documents(300, 300);
    const char *file = kt_tmp_path("c.bson"), *fifo = kt_tmp_path("fifo");
    kt_write_file(file, docs.data, docs.nbytes);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    for (int use_stdin = 0; use_stdin < 2; use_stdin++) {
        kt_run("(cat '%s' > '%s') &", file, fifo);
        if (use_stdin) {
            int fd = open(fifo, O_RDONLY);
            cr_assert_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
            close(fd);
        }
        struct kt_source *source;
        struct kt_region region = {0};
        struct kt_piece piece = {.kind = KT_PIECE_DOCS};
        struct kt_error err;
        size_t total = 0;
        cr_assert_eq(kt_source_open(&source, use_stdin ? "-" : fifo, NULL, &err), KT_OK, "%s", err.message);
        cr_assert_str_eq(kt_source_entry(source, 0)->ns, "");
        for (; piece.kind != KT_PIECE_END; total += piece.nbytes) {
            cr_assert_eq(kt_source_next(source, 1000, &region, &piece, &err), KT_OK, "%s", err.message);
            cr_assert(memcmp(region.data, docs.data + total, piece.nbytes) == 0);
        }
        cr_assert_eq(total, docs.nbytes);
        uint64_t done, of;
        kt_source_progress(source, &done, &of);
        cr_assert(done == docs.nbytes && of == 0);
        kt_source_close(source);
        kt_region_free(&region);
    }
    kt_buf_free(&docs);
}

Test(lone_source, published_dumps_byte_for_byte)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    static const char *const files[] = {"bsondump/all_in_one_doc.bson",
                                        "bsondump/all_types.bson",
                                        "bsondump/deep_nested.bson",
                                        "bsondump/sample.bson",
                                        "mongodump/importCollection.bson",
                                        "mongorestore/indextestdump/indextest/test_collection.bson",
                                        "mongorestore/ts_dump/timeseries_test/system.buckets.foo_ts.bson",
                                        "mongorestore/usersdump/admin/system.users.bson"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[256];
        snprintf(name, sizeof name, "vectors/bson-dumps/%s", files[i]);
        struct kt_buf plain = kt_slurp(kt_shared_path(name));
        for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
            struct kt_buf packed = kt_pack(kt_span_of(plain.data, plain.nbytes), codec), all;
            const char *in = kt_tmp_path("%zu.%d", i, (int)codec),
                       *out = kt_tmp_path("out%zu.%d", i, (int)codec);
            kt_write_file(in, packed.data, packed.nbytes);
            struct kt_copy copy = {.want = 1000};
            struct kt_error err;
            cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_OK, "%s", err.message);
            cr_assert_eq(kt_read_store(out, 4 << 20, &all, &err), KT_OK, "%s", err.message);
            cr_assert(kt_span_equal(kt_span_of(all.data, all.nbytes), kt_span_of(plain.data, plain.nbytes)));
            if (codec == KT_CODEC_NONE)
                kt_assert_same_file(in, out);
            struct kt_source *source;
            cr_assert_eq(kt_source_open(&source, out, NULL, NULL), KT_OK);
            cr_assert_eq(kt_source_entry(source, 0)->codec, codec, "the output is packed like the input");
            kt_source_close(source);
            kt_buf_free(&all);
            kt_buf_free(&packed);
        }
        kt_buf_free(&plain);
    }
}
