/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/file/input.h"
#include "tests/io/io_support.h"

TestSuite(input, .fini = kt_tmp_remove);

static enum kt_status read_all(const char *path, bool decode, size_t step, struct kt_buf *all,
                               enum kt_codec *codec, struct kt_error *err)
{
    struct kt_input *in;
    *all = (struct kt_buf){0};
    enum kt_status status = kt_input_open(&in, open(path, O_RDONLY), path, decode, NULL, err);
    if (status != KT_OK)
        return status;
    *codec = kt_input_codec(in);
    size_t got = step;
    while (status == KT_OK && got == step) {
        cr_assert_eq(kt_buf_reserve(all, step), KT_OK);
        status = kt_input_read(in, all->data + all->nbytes, step, &got, err);
        all->nbytes += status == KT_OK ? got : 0;
    }
    kt_input_close(in);
    return status;
}

static void expect_same(const void *data, size_t n, bool decode, struct kt_span want,
                        enum kt_codec want_codec)
{
    static const size_t steps[] = {1 << 20, 1000, 7};
    const char *path = kt_tmp_path("in");
    kt_write_file(path, data, n);
    for (size_t i = 0; i < 3; i++) {
        struct kt_buf all;
        struct kt_error err;
        enum kt_codec codec;
        cr_assert_eq(read_all(path, decode, steps[i], &all, &codec, &err), KT_OK, "%s", err.message);
        cr_assert(kt_span_equal(kt_span_of(all.data, all.nbytes), want), "%zu of %zu bytes", all.nbytes,
                  want.nbytes);
        cr_assert_eq(codec, want_codec);
        kt_buf_free(&all);
    }
}

static void expect_broken(const void *data, size_t n, const char *word)
{
    const char *path = kt_tmp_path("broken");
    struct kt_buf all;
    struct kt_error err;
    enum kt_codec codec;
    kt_write_file(path, data, n);
    cr_assert_eq(read_all(path, true, 5000, &all, &codec, &err), KT_E_FORMAT, "%zu bytes", n);
    cr_assert(strstr(err.message, path) && strstr(err.message, word), "%s", err.message);
    kt_buf_free(&all);
}

static struct kt_span span(const struct kt_buf *buf)
{
    return kt_span_of(buf->data, buf->nbytes);
}

Test(input, plain_and_packed)
{
    struct kt_buf docs = kt_documents(300, 500);
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        struct kt_buf packed = kt_pack(span(&docs), codec);
        expect_same(packed.data, packed.nbytes, true, span(&docs), codec);
        expect_same(packed.data, packed.nbytes, false, span(&packed), KT_CODEC_NONE);
        kt_buf_free(&packed);
    }
    kt_buf_free(&docs);
}

Test(input, empty)
{
    expect_same("", 0, true, kt_span_of(NULL, 0), KT_CODEC_NONE);
    for (enum kt_codec codec = KT_CODEC_GZIP; codec <= KT_CODEC_ZSTD; codec++) {
        struct kt_buf packed = kt_pack(kt_span_of("", 0), codec);
        expect_same(packed.data, packed.nbytes, true, kt_span_of(NULL, 0), codec);
        kt_buf_free(&packed);
    }
}

Test(input, members_and_frames_follow_one_another)
{
    struct kt_buf docs = kt_documents(3, 40);
    for (enum kt_codec codec = KT_CODEC_GZIP; codec <= KT_CODEC_ZSTD; codec++) {
        struct kt_buf many = {0}, want = {0};
        for (int i = 0; i < 50; i++) {
            struct kt_buf one = kt_pack(i % 3 ? span(&docs) : kt_span_of("", 0), codec);
            cr_assert_eq(kt_buf_append(&many, one.data, one.nbytes), KT_OK);
            cr_assert_eq(kt_buf_append(&want, docs.data, i % 3 ? docs.nbytes : 0), KT_OK);
            kt_buf_free(&one);
        }
        expect_same(many.data, many.nbytes, true, span(&want), codec);
        kt_buf_free(&many);
        kt_buf_free(&want);
    }
    kt_buf_free(&docs);
}

Test(input, garbage_behind)
{
    struct kt_buf docs = kt_documents(3, 40);
    for (enum kt_codec codec = KT_CODEC_GZIP; codec <= KT_CODEC_ZSTD; codec++) {
        static const struct kt_span tails[] = {
            {(const uint8_t *)"garbage!", 8}, {(const uint8_t *)"\0\0\0\0", 4}, {(const uint8_t *)"x", 1}};
        for (size_t i = 0; i < 3; i++) {
            struct kt_buf packed = kt_pack(span(&docs), codec);
            cr_assert_eq(kt_buf_append(&packed, tails[i].data, tails[i].nbytes), KT_OK);
            expect_broken(packed.data, packed.nbytes, codec == KT_CODEC_GZIP ? "gzip" : "zstd");
            kt_buf_free(&packed);
        }
    }
    kt_buf_free(&docs);
}

Test(input, cut_off_at_every_byte)
{
    struct kt_buf docs = kt_documents(20, 30);
    for (enum kt_codec codec = KT_CODEC_GZIP; codec <= KT_CODEC_ZSTD; codec++) {
        struct kt_buf packed = kt_pack(span(&docs), codec);
        for (size_t n = 4; n < packed.nbytes; n++)
            expect_broken(packed.data, n, "cut off");
        kt_buf_free(&packed);
    }
    kt_buf_free(&docs);
}

/* The CRC-32 and the length of gzip, behind the data. */
Test(input, gzip_trailer_is_checked)
{
    struct kt_buf docs = kt_documents(20, 30), packed = kt_pack(span(&docs), KT_CODEC_GZIP);
    for (size_t i = packed.nbytes - 8; i < packed.nbytes; i++) {
        packed.data[i] ^= 1;
        expect_broken(packed.data, packed.nbytes, "gzip");
        packed.data[i] ^= 1;
    }
    kt_buf_free(&packed);
    kt_buf_free(&docs);
}

/* 256 MiB of zeros in 1 MB: nothing but the caller's own memory grows. */
Test(input, bomb_stays_small)
{
    const char *path = kt_tmp_path("bomb.gz");
    kt_run("head -c 268435456 /dev/zero | gzip -1 > '%s'", path);
    struct kt_input *in;
    struct kt_error err;
    cr_assert_eq(kt_input_open(&in, open(path, O_RDONLY), path, true, NULL, &err), KT_OK, "%s", err.message);
    static uint8_t chunk[1 << 20];
    uint64_t total = 0;
    size_t got = sizeof chunk;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    while (got == sizeof chunk) {
        cr_assert_eq(kt_input_read(in, chunk, sizeof chunk, &got, &err), KT_OK, "%s", err.message);
        total += got;
    }
    getrusage(RUSAGE_SELF, &after);
    cr_assert_eq(total, UINT64_C(1) << 28);
    cr_assert_lt(after.ru_maxrss - before.ru_maxrss, 8192, "grew by %ld KiB",
                 after.ru_maxrss - before.ru_maxrss);
    kt_input_close(in);
}

Test(input, zstd_window_beyond_the_limit)
{
    /* RFC 8878 section 3.1.1: magic, descriptor 0 (no size, no checksum), window descriptor: 2^(10+19) = 512
     * MiB */
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 1, 0, 0};
    expect_broken(frame, sizeof frame, "128 MiB");
}

Test(input, file_that_grows_while_it_is_read)
{
    struct kt_buf docs = kt_documents(2, 40);
    const char *path = kt_tmp_path("grows");
    kt_write_file(path, docs.data, docs.nbytes);
    struct kt_input *in;
    struct kt_error err;
    cr_assert_eq(kt_input_open(&in, open(path, O_RDONLY), path, true, NULL, &err), KT_OK);
    kt_run("printf 'more' >> '%s'", path);
    uint8_t all[4096];
    size_t got;
    cr_assert_eq(kt_input_read(in, all, sizeof all, &got, &err), KT_E_IO);
    cr_assert(strstr(err.message, "changed while"), "%s", err.message);
    kt_input_close(in);
    kt_buf_free(&docs);
}

Test(input, progress_and_jump)
{
    struct kt_buf docs = kt_documents(1000, 500);
    const char *path = kt_tmp_path("jump");
    kt_write_file(path, docs.data, docs.nbytes);
    struct kt_input *in;
    _Atomic uint64_t done = 100;
    cr_assert_eq(kt_input_open(&in, open(path, O_RDONLY), path, true, NULL, NULL), KT_OK);
    kt_input_share(in, &done, NULL);
    cr_assert_eq(done, 100 + 4096u);
    cr_assert(kt_input_jump(in, 200000));
    cr_assert_eq(done, 100 + 200000u);
    uint8_t byte;
    size_t got;
    cr_assert_eq(kt_input_read(in, &byte, 1, &got, NULL), KT_OK);
    cr_assert_eq(byte, docs.data[200000]);
    cr_assert_not(kt_input_jump(in, docs.nbytes + 1), "behind the end");
    kt_input_close(in);
    kt_buf_free(&docs);
}

/* A pipe in non-blocking mode, given slowly. */
Test(input, pipe_that_does_not_block)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    struct kt_buf docs = kt_documents(500, 500);
    if (fork() == 0) {
        for (size_t at = 0; at < docs.nbytes;) {
            ssize_t n = write(ends[1], docs.data + at, docs.nbytes - at < 999 ? docs.nbytes - at : 999);
            at += n > 0 ? (size_t)n : 0;
        }
        _exit(0);
    }
    close(ends[1]);
    struct kt_input *in;
    struct kt_error err;
    cr_assert_eq(kt_input_open(&in, ends[0], "pipe", true, NULL, &err), KT_OK);
    uint8_t *all = malloc(docs.nbytes + 1);
    size_t got;
    cr_assert_eq(kt_input_read(in, all, docs.nbytes + 1, &got, &err), KT_OK, "%s", err.message);
    cr_assert_eq(got, docs.nbytes);
    cr_assert(memcmp(all, docs.data, got) == 0);
    free(all);
    kt_input_close(in);
    kt_buf_free(&docs);
}
