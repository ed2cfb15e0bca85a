/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/io_support.h"
#include "tests/support/shared.h"

TestSuite(directory_source, .fini = kt_tmp_remove);

static void put(const char *path, struct kt_buf bytes)
{
    kt_write_file(path, bytes.data, bytes.nbytes);
    kt_buf_free(&bytes);
}

static struct kt_buf packed_docs(uint32_t n, enum kt_codec codec)
{
    struct kt_buf docs = kt_documents(n, 100), packed = kt_pack(kt_span_of(docs.data, docs.nbytes), codec);
    kt_buf_free(&docs);
    return packed;
}

static void put_text(const char *path, const char *text)
{
    kt_write_file(path, text, strlen(text));
}

/* A dump with everything that may lie in one. */
static const char *make_dump(void)
{
    put(kt_tmp_path("dump/shop/customers.bson"), packed_docs(500, KT_CODEC_NONE));
    put_text(kt_tmp_path("dump/shop/customers.metadata.json"),
             "{\"options\":{},\"collectionName\":\"customers\"}");
    put(kt_tmp_path("dump/shop/orders.bson.gz"), packed_docs(200, KT_CODEC_GZIP));
    put(kt_tmp_path("dump/shop/orders.metadata.json.gz"),
        kt_pack(kt_span_str("{\"collectionName\":\"orders/2\"}"), KT_CODEC_GZIP));
    put(kt_tmp_path("dump/shop/late.bson.zst"), packed_docs(100, KT_CODEC_ZSTD));
    put(kt_tmp_path("dump/shop/said.bson"),
        packed_docs(50, KT_CODEC_GZIP)); /* packed, whatever its name says */
    put(kt_tmp_path("dump/shop/caf%%C3%%A9s.bson"), packed_docs(5, KT_CODEC_NONE));
    put(kt_tmp_path("dump/shop/empty.bson"), packed_docs(0, KT_CODEC_NONE));
    put(kt_tmp_path("dump/shop/emptyz.bson.gz"), packed_docs(0, KT_CODEC_GZIP));
    put(kt_tmp_path("dump/deep/er/x.bson"), packed_docs(5, KT_CODEC_NONE));
    put(kt_tmp_path("dump/trap.bson/y.bson"), packed_docs(5, KT_CODEC_NONE));
    put(kt_tmp_path("dump/oplog.bson"), packed_docs(7, KT_CODEC_NONE));
    put(kt_tmp_path("dump/shop/oplog.bson"), packed_docs(7, KT_CODEC_NONE));
    put_text(kt_tmp_path("dump/prelude.json"), "{\"ServerVersion\":\"6.0.5\"}");
    put(kt_tmp_path("dump/shop/other.gz"), packed_docs(9, KT_CODEC_GZIP));
    put_text(kt_tmp_path("dump/.hidden"), "x");
    kt_make_folders(kt_tmp_path("dump/nothing/in here/"));
    return kt_tmp_path("dump");
}

static const struct {
    const char *file, *ns;
    enum kt_codec codec;
    bool is_oplog;
} expected[] = {
    {".hidden", "", KT_CODEC_NONE, false},
    {"deep/er/x.bson", "er.x", KT_CODEC_NONE, false},
    {"oplog.bson", "", KT_CODEC_NONE, true},
    {"prelude.json", "", KT_CODEC_NONE, false},
    {"shop/caf%C3%A9s.bson", "shop.caf\xc3\xa9s", KT_CODEC_NONE, false},
    {"shop/customers.bson", "shop.customers", KT_CODEC_NONE, false},
    {"shop/customers.metadata.json", "", KT_CODEC_NONE, false},
    {"shop/empty.bson", "shop.empty", KT_CODEC_NONE, false},
    {"shop/emptyz.bson.gz", "shop.emptyz", KT_CODEC_GZIP, false},
    {"shop/late.bson.zst", "shop.late", KT_CODEC_ZSTD, false},
    {"shop/oplog.bson", "shop.oplog", KT_CODEC_NONE, false},
    {"shop/orders.bson.gz", "shop.orders/2", KT_CODEC_GZIP, false},
    {"shop/orders.metadata.json.gz", "", KT_CODEC_NONE, false},
    {"shop/other.gz", "", KT_CODEC_NONE, false},
    {"shop/said.bson", "shop.said", KT_CODEC_GZIP, false},
    {"trap.bson/y.bson", "trap.bson.y", KT_CODEC_NONE, false},
};

Test(directory_source, entries)
{
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, make_dump(), NULL, &err), KT_OK, "%s", err.message);
    cr_assert_eq(kt_source_container(source), KT_DIRECTORY);
    uint32_t i = 0;
    for (const struct kt_entry *e; (e = kt_source_entry(source, i)) != NULL; i++) {
        cr_assert_lt(i, sizeof expected / sizeof *expected);
        cr_assert_str_eq(e->file, expected[i].file);
        cr_assert_str_eq(e->ns, expected[i].ns, "%s: %s", e->file, e->ns);
        cr_assert_eq(e->codec, expected[i].codec, "%s", e->file);
        cr_assert_eq(e->is_oplog, expected[i].is_oplog, "%s", e->file);
    }
    cr_assert_eq(i, sizeof expected / sizeof *expected);
    cr_assert_eq(kt_source_set_ns(source, "a.b", NULL), KT_E_USAGE);
    kt_source_close(source);
}

Test(directory_source, copies_everything)
{
    const char *dump = make_dump(), *out = kt_tmp_path("out/");
    struct kt_copy copy = {.want = 1000, .checkpoint_every = 3};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(dump, out, &copy, &err), KT_OK, "%s", err.message);
    kt_run("cd '%s' && find . -type d | sort > ../a && find . -type f | sort >> ../a && cd ../out && "
           "find . -type d | sort > ../b && find . -type f | sort >> ../b && cmp ../a ../b",
           dump);
    kt_run("cd '%s' && for f in $(find . -type f ! -name '*.bson.*' ! -name said.bson); do cmp $f ../out/$f "
           "|| exit 1; "
           "done",
           dump);
    kt_run(
        "cd '%s/shop' && gzip -dc orders.bson.gz > x && gzip -dc ../../out/shop/orders.bson.gz | cmp x - && "
        "zstd -dcq late.bson.zst > x && zstd -dcq ../../out/shop/late.bson.zst | cmp x - && "
        "gzip -dc < said.bson > x && gzip -dc < ../../out/shop/said.bson | cmp x - && "
        "gzip -dc ../../out/shop/emptyz.bson.gz | cmp /dev/null -",
        dump);
    cr_assert_not(kt_path_exists(kt_tmp_path("out.part")));
    cr_assert_not(kt_path_exists(kt_tmp_path("out.part.checkpoint")));
}

Test(directory_source, a_database_folder_alone)
{
    make_dump();
    cr_assert_eq(chdir(kt_tmp_path("dump/shop")), 0);
    const char *const ways[] = {kt_tmp_path("dump/shop"), kt_tmp_path("dump/shop///"), ".", "../shop"};
    for (size_t i = 0; i < 4; i++) {
        struct kt_source *source;
        struct kt_error err;
        cr_assert_eq(kt_source_open(&source, ways[i], NULL, &err), KT_OK, "%s", err.message);
        cr_assert_str_eq(kt_source_entry(source, 0)->ns, "shop.caf\xc3\xa9s");
        kt_source_close(source);
    }
}

/* A collection can be called oplog: then metadata lies beside it, which mongodump never writes for the real
 * one. */
Test(directory_source, a_collection_called_oplog)
{
    put(kt_tmp_path("shop/oplog.bson"), packed_docs(7, KT_CODEC_NONE));
    put_text(kt_tmp_path("shop/oplog.metadata.json"), "{}");
    struct kt_source *source;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("shop"), NULL, NULL), KT_OK);
    cr_assert_str_eq(kt_source_entry(source, 0)->ns, "shop.oplog");
    cr_assert_not(kt_source_entry(source, 0)->is_oplog);
    kt_source_close(source);
}

Test(directory_source, empty_folder)
{
    kt_make_folders(kt_tmp_path("dump/"));
    struct kt_copy copy = {0};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(kt_tmp_path("dump"), kt_tmp_path("out"), &copy, &err), KT_OK, "%s",
                 err.message);
    kt_assert_same_tree(kt_tmp_path("dump"), kt_tmp_path("out"));
}

static void expect_refused(const char *word)
{
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("dump"), NULL, &err), KT_E_USAGE);
    cr_assert(strstr(err.message, word) && strstr(err.message, "shop/bad.bson"), "%s", err.message);
}

Test(directory_source, what_may_not_lie_in_a_folder)
{
    const char *bad = kt_tmp_path("dump/shop/bad.bson");
    put_text(kt_tmp_path("outside"), "secret");
    kt_make_folders(bad);
    cr_assert_eq(symlink("../../outside", bad), 0);
    expect_refused("symbolic link");
    unlink(bad);
    cr_assert_eq(symlink("..", bad), 0);
    expect_refused("symbolic link");
    unlink(bad);
    cr_assert_eq(mkfifo(bad, 0600), 0);
    expect_refused("neither a file nor a folder");
    unlink(bad);
    put_text(bad, "");
    if (geteuid() == 0)
        return; /* nothing is unreadable then */
    chmod(bad, 0);
    expect_refused("Permission denied");
}

Test(directory_source, what_metadata_says)
{
    static const char json[] = "{\"options\":{\"timeseries\":{\"timeField\":\"at\"}},\"indexes\":[]}\n";
    put(kt_tmp_path("dump/shop/a.bson"), packed_docs(5, KT_CODEC_NONE));
    put_text(kt_tmp_path("dump/shop/a.metadata.json"), json);
    put(kt_tmp_path("dump/shop/b.bson"), packed_docs(5, KT_CODEC_NONE));
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("dump"), NULL, &err), KT_OK, "%s", err.message);
    const struct kt_entry *a = kt_source_entry(source, 0), *b = kt_source_entry(source, 2);
    cr_assert_str_eq(a->file, "shop/a.bson");
    cr_assert_str_eq(a->metadata, json);
    cr_expect(a->is_timeseries);
    cr_assert_str_eq(b->file, "shop/b.bson");
    cr_expect(b->metadata == NULL && !b->is_timeseries);
    kt_source_close(source);
}

Test(directory_source, broken_files_are_named)
{
    put(kt_tmp_path("dump/shop/a.bson"), packed_docs(5, KT_CODEC_NONE));
    put_text(kt_tmp_path("dump/shop/b.bson"), "\x20\0\0\0 no document");
    struct kt_buf all;
    struct kt_error err;
    cr_assert_eq(kt_read_store(kt_tmp_path("dump"), 4096, &all, &err), KT_E_FORMAT);
    cr_assert(strstr(err.message, "dump/shop/b.bson: shop.b: byte 0:"), "%s", err.message);
    kt_buf_free(&all);
    put_text(kt_tmp_path("dump/shop/a.metadata.json"), "{");
    cr_assert_eq(kt_read_store(kt_tmp_path("dump"), 4096, &all, &err), KT_E_FORMAT);
    cr_assert(strstr(err.message, "/shop/a.metadata.json"), "%s", err.message);
    kt_buf_free(&all);
}

Test(directory_source, file_exchanged_after_opening)
{
    put(kt_tmp_path("dump/shop/a.bson"), packed_docs(5, KT_CODEC_NONE));
    put(kt_tmp_path("dump/shop/b.bson"), packed_docs(5, KT_CODEC_NONE));
    struct kt_source *source;
    struct kt_region region = {0};
    struct kt_piece piece;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("dump"), NULL, &err), KT_OK);
    cr_assert_eq(kt_source_next(source, 4096, &region, &piece, &err), KT_OK);
    put(kt_tmp_path("new"), packed_docs(5, KT_CODEC_NONE));
    cr_assert_eq(rename(kt_tmp_path("new"), kt_tmp_path("dump/shop/b.bson")), 0);
    cr_assert_eq(kt_source_next(source, 4096, &region, &piece, &err), KT_E_IO);
    cr_assert(strstr(err.message, "shop/b.bson: changed"), "%s", err.message);
    kt_source_close(source);
    kt_region_free(&region);
}

Test(directory_source, published_dumps)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    static const char *const folders[] = {"sample-dump", "vectors/bson-dumps"};
    for (size_t i = 0; i < 2; i++) {
        struct kt_copy copy = {.want = 3000};
        struct kt_error err;
        const char *out = kt_tmp_path("out%zu", i);
        cr_assert_eq(kt_copy_store(kt_shared_path(folders[i]), out, &copy, &err), KT_OK, "%s", err.message);
        kt_assert_same_tree(kt_shared_path(folders[i]), out);
    }
}
