/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/io/io_support.h"
#include "tests/support/shared.h"

TestSuite(archive_sink, .fini = kt_tmp_remove);

static struct kt_span span(const struct kt_buf *buf)
{
    return kt_span_of(buf->data, buf->nbytes);
}

/* Without changes the copy is the same archive byte for byte, in whatever pieces it was read. */
static void expect_same_archive(struct kt_span plain, const char *name)
{
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        for (size_t want = 1; want < 1 << 20; want = want * 100 + 11) {
            struct kt_buf packed = kt_pack(plain, codec);
            const char *in = kt_tmp_path("in"), *out = kt_tmp_path("out"), *flat = kt_tmp_path("flat");
            kt_write_file(in, packed.data, packed.nbytes);
            kt_buf_free(&packed);
            struct kt_copy copy = {.want = want, .checkpoint_every = want == 11 ? 3 : 0};
            struct kt_error err;
            cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_OK, "%s: %s", name, err.message);
            static const char *const unpack[] = {"cat", "gzip -dc", "zstd -dcq"};
            kt_run("%s < '%s' > '%s'", unpack[codec], out, flat);
            struct kt_buf got = kt_slurp(flat);
            cr_assert(kt_span_equal(span(&got), plain), "%s: codec %d, want %zu", name, (int)codec, want);
            kt_buf_free(&got);
            unlink(out);
        }
    }
}

Test(archive_sink, unchanged)
{
    struct kt_buf archive = kt_archive_sample(30);
    expect_same_archive(span(&archive), "sample");
    kt_buf_free(&archive);
}

Test(archive_sink, published_archives)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    static const char *const names[] = {"test.bar", "dump-w-oplog", "timeseries"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "vectors/archives/%s.archive", names[i]);
        struct kt_buf archive = kt_slurp(kt_shared_path(name));
        expect_same_archive(span(&archive), name);
        kt_buf_free(&archive);
    }
}

/* Other documents, so other checksums: our reader checks those that are written. */
Test(archive_sink, changed)
{
    struct kt_buf archive = kt_archive_sample(30), all, doubled;
    kt_write_file(kt_tmp_path("in"), archive.data, archive.nbytes);
    struct kt_copy copy = {.want = 1000, .doubled = true};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(kt_tmp_path("in"), kt_tmp_path("out"), &copy, &err), KT_OK, "%s", err.message);
    cr_assert_eq(kt_read_store(kt_tmp_path("in"), 1000, &all, &err), KT_OK);
    cr_assert_eq(kt_read_store(kt_tmp_path("out"), 1000, &doubled, &err), KT_OK, "%s", err.message);
    cr_assert_eq(doubled.nbytes, 2 * all.nbytes);
    kt_buf_free(&all);
    kt_buf_free(&doubled);
    kt_buf_free(&archive);
}

Test(archive_sink, to_a_stream)
{
    struct kt_buf archive = kt_archive_sample(30), packed = kt_pack(span(&archive), KT_CODEC_GZIP);
    kt_write_file(kt_tmp_path("in"), packed.data, packed.nbytes);
    cr_assert_eq(dup2(fileno(fopen(kt_tmp_path("out"), "w")), STDOUT_FILENO), STDOUT_FILENO);
    struct kt_copy copy = {.want = 1000, .checkpoint_every = 2};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(kt_tmp_path("in"), "-", &copy, &err), KT_OK, "%s", err.message);
    kt_run("gzip -dc '%s' > '%s'", kt_tmp_path("out"), kt_tmp_path("flat"));
    struct kt_buf got = kt_slurp(kt_tmp_path("flat"));
    cr_assert(kt_span_equal(span(&got), span(&archive)));
    kt_buf_free(&got);
    kt_buf_free(&packed);
    kt_buf_free(&archive);
}
