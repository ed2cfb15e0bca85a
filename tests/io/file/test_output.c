/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/file/output.h"
#include "tests/io/io_support.h"

TestSuite(output, .fini = kt_tmp_remove);

static struct kt_output *open_output(const char *path, enum kt_codec codec)
{
    struct kt_output *out;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(kt_output_open(&out, fd, 0, codec, "the label", NULL, NULL), KT_OK);
    return out;
}

static void expect_content(const char *path, enum kt_codec codec, struct kt_span want)
{
    static const char *const unpack[] = {"cat", "gzip -dc", "zstd -dcq"};
    kt_run("%s < '%s' > '%s.flat'", unpack[codec], path, path);
    char flat[512];
    snprintf(flat, sizeof flat, "%s.flat", path);
    struct kt_buf got = kt_slurp(flat);
    cr_assert(kt_span_equal(kt_span_of(got.data, got.nbytes), want), "%zu of %zu bytes", got.nbytes,
              want.nbytes);
    kt_buf_free(&got);
}

/* Writes of very different sizes, cut here and there: one stream for the usual tools, also when the file is
 * cut back to where a cut was and written on from there. */
Test(output, any_sizes_with_cuts)
{
    struct kt_buf docs = kt_documents(3000, 300);
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        const char *path = kt_tmp_path("o%d", (int)codec);
        struct kt_output *out = open_output(path, codec);
        size_t at = 0, cut_at = 0, step = 1;
        uint64_t file_at = 0, cut_file_at = 0;
        for (; at < docs.nbytes; step = step * 5 % 600011 + 1) {
            size_t n = step < docs.nbytes - at ? step : docs.nbytes - at;
            cr_assert_eq(kt_output_write(out, kt_span_of(docs.data + at, n), NULL), KT_OK);
            at += n;
            if (step % 3)
                continue;
            cr_assert_eq(kt_output_cut(out, &file_at, NULL), KT_OK);
            cr_assert_eq(kt_output_sync(out, NULL), KT_OK);
            cut_at = at;
            cut_file_at = file_at;
        }
        cr_assert_eq(kt_output_finish(out, NULL), KT_OK);
        expect_content(path, codec, kt_span_of(docs.data, docs.nbytes));
        cr_assert_gt(cut_at, 0u);
        cr_assert_eq(truncate(path, (off_t)cut_file_at), 0);
        expect_content(path, codec, kt_span_of(docs.data, cut_at));
        int fd = open(path, O_WRONLY | O_APPEND);
        cr_assert_eq(kt_output_open(&out, fd, cut_file_at, codec, "x", NULL, NULL), KT_OK);
        cr_assert_eq(kt_output_write(out, kt_span_of(docs.data + cut_at, docs.nbytes - cut_at), NULL), KT_OK);
        cr_assert_eq(kt_output_finish(out, NULL), KT_OK);
        expect_content(path, codec, kt_span_of(docs.data, docs.nbytes));
    }
    kt_buf_free(&docs);
}

/* Far beyond what is gathered, written or sent to the disk at once. */
Test(output, large_writes)
{
    struct kt_buf docs = kt_documents(20, 1000003);
    const char *path = kt_tmp_path("large");
    struct kt_output *out = open_output(path, KT_CODEC_NONE);
    for (size_t at = 0; at < docs.nbytes; at += 5000001) {
        size_t left = docs.nbytes - at;
        cr_assert_eq(kt_output_write(out, kt_span_of(docs.data + at, left < 5000001 ? left : 5000001), NULL),
                     KT_OK);
    }
    cr_assert_eq(kt_output_finish(out, NULL), KT_OK);
    expect_content(path, KT_CODEC_NONE, kt_span_of(docs.data, docs.nbytes));
    kt_buf_free(&docs);
}

Test(output, nothing_written_is_still_a_stream)
{
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        const char *path = kt_tmp_path("e%d", (int)codec);
        struct kt_output *out = open_output(path, codec);
        uint64_t at = 1;
        cr_assert_eq(kt_output_cut(out, &at, NULL), KT_OK);
        cr_assert_eq(at, 0u, "a cut without data makes no member");
        cr_assert_eq(kt_output_finish(out, NULL), KT_OK);
        expect_content(path, codec, kt_span_of(NULL, 0));
        struct kt_buf raw = kt_slurp(path);
        cr_assert_eq(raw.nbytes > 0, codec != KT_CODEC_NONE);
        kt_buf_free(&raw);
    }
}

static enum kt_status write_until_it_fails(struct kt_output *out, struct kt_error *err)
{
    static uint8_t noise[300000];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(state >> 24);
    }
    enum kt_status status = KT_OK;
    for (int i = 0; i < 100 && status == KT_OK; i++)
        status = kt_output_write(out, kt_span_of(noise, sizeof noise), err);
    return status;
}

Test(output, full_disk)
{
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        struct kt_error err;
        struct kt_output *out = open_output("/dev/full", codec);
        cr_assert_eq(write_until_it_fails(out, &err), KT_E_IO);
        cr_assert(strstr(err.message, "the label") && strstr(err.message, "No space left"), "%s",
                  err.message);
        kt_output_abandon(out);
        out = open_output("/dev/full", codec);
        cr_assert_eq(kt_output_write(out, kt_span_str("little"), &err), KT_OK, "waits in memory");
        cr_assert_eq(kt_output_finish(out, &err), KT_E_IO);
    }
}

/* A limit that is met in the middle of a write(2), which is then short. */
Test(output, file_size_limit)
{
    struct rlimit limit = {1000000, 1000000};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct kt_error err;
    struct kt_output *out = open_output(kt_tmp_path("limited"), KT_CODEC_NONE);
    cr_assert_eq(write_until_it_fails(out, &err), KT_E_IO);
    cr_assert(strstr(err.message, "File too large"), "%s", err.message);
    kt_output_abandon(out);
}

Test(output, closed_pipe)
{
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    struct kt_output *out;
    struct kt_error err;
    cr_assert_eq(kt_output_open(&out, ends[1], 0, KT_CODEC_NONE, "stdout", NULL, NULL), KT_OK);
    cr_assert_eq(write_until_it_fails(out, &err), KT_E_IO);
    cr_assert(strstr(err.message, "stdout: the reader of the pipe is gone"), "%s", err.message);
    kt_output_abandon(out);
}

/* Short writes, and EAGAIN where the pipe is full. */
Test(output, pipe_that_does_not_block)
{
    int ends[2];
    struct kt_buf docs = kt_documents(3000, 300);
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    if (fork() == 0) {
        close(ends[0]);
        struct kt_output *out;
        bool ok = kt_output_open(&out, ends[1], 0, KT_CODEC_NONE, "stdout", NULL, NULL) == KT_OK &&
                  kt_output_write(out, kt_span_of(docs.data, docs.nbytes), NULL) == KT_OK &&
                  kt_output_finish(out, NULL) == KT_OK;
        _exit(ok ? 0 : 1);
    }
    close(ends[1]);
    fcntl(ends[0], F_SETFL, 0);
    size_t at = 0;
    uint8_t part[777];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0; at += (size_t)n)
        cr_assert(memcmp(part, docs.data + at, (size_t)n) == 0);
    cr_assert_eq(at, docs.nbytes);
    kt_buf_free(&docs);
}
