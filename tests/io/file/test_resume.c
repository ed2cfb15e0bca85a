/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/io/io_support.h"

TestSuite(resume, .fini = kt_tmp_remove);

static void put(const char *path, struct kt_buf bytes)
{
    kt_write_file(path, bytes.data, bytes.nbytes);
    kt_buf_free(&bytes);
}

static struct kt_buf packed(struct kt_buf plain, enum kt_codec codec)
{
    struct kt_buf out = kt_pack(kt_span_of(plain.data, plain.nbytes), codec);
    kt_buf_free(&plain);
    return out;
}

static const char *make_folder(void)
{
    put(kt_tmp_path("in/db/a.bson"), kt_documents(40, 100));
    put(kt_tmp_path("in/db/b.bson.gz"), packed(kt_documents(40, 100), KT_CODEC_GZIP));
    put(kt_tmp_path("in/db/c.bson.zst"), packed(kt_documents(40, 100), KT_CODEC_ZSTD));
    put(kt_tmp_path("in/db/empty.bson"), kt_documents(0, 0));
    put(kt_tmp_path("in/db/note.txt"), kt_documents(20, 100));
    put(kt_tmp_path("in/prelude.json"), kt_documents(1, 5));
    return kt_tmp_path("in");
}

static void expect_same_documents(const char *a, const char *b)
{
    struct kt_buf x, y;
    struct kt_error err;
    cr_assert_eq(kt_read_store(a, 4 << 20, &x, &err), KT_OK, "%s", err.message);
    cr_assert_eq(kt_read_store(b, 4 << 20, &y, &err), KT_OK, "%s", err.message);
    cr_assert(kt_span_equal(kt_span_of(x.data, x.nbytes), kt_span_of(y.data, y.nbytes)), "%s and %s differ",
              a, b);
    kt_buf_free(&x);
    kt_buf_free(&y);
}

/* Stopped behind each piece, with the last checkpoint there or one or two pieces before, then gone on with.
 */
static void stop_everywhere(const char *in, const char *reference, size_t want)
{
    const char *out = kt_tmp_path("out");
    for (unsigned every = 1; every <= 3; every++) {
        bool stopped = true;
        for (unsigned stop = 1; stopped; stop++) {
            struct kt_copy copy = {
                .want = want, .checkpoint_every = every, .stop_after = stop, .doubled = true};
            struct kt_error err;
            cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_OK, "%s", err.message);
            stopped = copy.stopped;
            cr_assert_eq(kt_path_exists(out), !stopped);
            copy.stop_after = 0;
            if (stopped)
                cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_OK, "stopped after %u: %s", stop,
                             err.message);
            cr_assert(!stopped || copy.resumed == (stop >= every));
            expect_same_documents(reference, out);
            cr_assert_not(kt_path_exists(kt_tmp_path("out.part")));
            cr_assert_not(kt_path_exists(kt_tmp_path("out.part.checkpoint")));
            kt_run("rm -r '%s'", out);
        }
    }
}

static void stop_everywhere_in(const char *in, size_t want)
{
    const char *reference = kt_tmp_path("reference");
    struct kt_copy copy = {.want = want, .doubled = true};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(in, reference, &copy, &err), KT_OK, "%s", err.message);
    cr_assert_gt(copy.put, 3u);
    stop_everywhere(in, reference, want);
    kt_run("rm -r '%s'", reference);
}

Test(resume, file_at_every_piece)
{
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        put(kt_tmp_path("in"), packed(kt_documents(60, 100), codec));
        stop_everywhere_in(kt_tmp_path("in"), 700);
    }
}

Test(resume, archive_at_every_piece)
{
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        put(kt_tmp_path("in"), packed(kt_archive_sample(5), codec));
        stop_everywhere_in(kt_tmp_path("in"), 300);
    }
}

Test(resume, folder_at_every_piece)
{
    stop_everywhere_in(make_folder(), 700);
}

/* Stopped and gone on with, again and again, one piece each time. */
Test(resume, many_times)
{
    put(kt_tmp_path("archive"), kt_archive_sample(5));
    put(kt_tmp_path("file"), packed(kt_documents(60, 100), KT_CODEC_GZIP));
    const char *const inputs[] = {kt_tmp_path("archive"), kt_tmp_path("file"), make_folder()};
    for (size_t i = 0; i < 3; i++) {
        struct kt_copy copy = {.want = 300, .checkpoint_every = 1, .stop_after = 1, .stopped = true};
        const char *out = kt_tmp_path("out%zu", i);
        for (unsigned turn = 0; copy.stopped; turn++) {
            struct kt_error err;
            cr_assert_lt(turn, 1000u);
            cr_assert_eq(kt_copy_store(inputs[i], out, &copy, &err), KT_OK, "%s", err.message);
            cr_assert_eq(copy.resumed, turn > 0);
        }
        expect_same_documents(inputs[i], out);
    }
}

static void expect_other_job(const char *in, const char *word)
{
    struct kt_copy copy = {.want = 700};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(in, kt_tmp_path("out"), &copy, &err), KT_E_OTHER_JOB);
    cr_assert(strstr(err.message, word), "%s", err.message);
    cr_assert(kt_path_exists(kt_tmp_path("out.part")), "what was done stays");
}

Test(resume, another_input)
{
    const char *in = kt_tmp_path("in.bson");
    put(in, kt_documents(60, 100));
    struct kt_copy copy = {.want = 700, .checkpoint_every = 1, .stop_after = 2};
    cr_assert_eq(kt_copy_store(in, kt_tmp_path("out"), &copy, NULL), KT_OK);
    put(kt_tmp_path("same.bson"), kt_documents(60, 100));
    expect_other_job(kt_tmp_path("same.bson"), "not the input that this job began with");
    put(kt_tmp_path("archive"), kt_archive_sample(5));
    expect_other_job(kt_tmp_path("archive"), "not the input");
    kt_run("touch -d '2001-01-01' '%s'", in);
    expect_other_job(in, "not the input");
}

Test(resume, a_file_of_the_folder_changed)
{
    const char *in = make_folder();
    struct kt_copy copy = {.want = 700, .checkpoint_every = 1, .stop_after = 2};
    cr_assert_eq(kt_copy_store(in, kt_tmp_path("out"), &copy, NULL), KT_OK);
    put(kt_tmp_path("in/db/d.bson"), kt_documents(1, 1));
    expect_other_job(in, "not the input");
    unlink(kt_tmp_path("in/db/d.bson"));
    copy.stop_after = 0;
    cr_assert_eq(kt_copy_store(in, kt_tmp_path("out"), &copy, NULL), KT_OK, "as it was");
}

/* A pipe is known again by its bytes: the same ones are read over, others refused. */
static enum kt_status copy_from_pipe(const char *file, struct kt_copy *copy, struct kt_error *err)
{
    const char *fifo = kt_tmp_path("fifo");
    kt_run("rm -f '%s' && mkfifo '%s' && { cat '%s' > '%s' 2>/dev/null & }", fifo, fifo, file, fifo);
    return kt_copy_store(fifo, kt_tmp_path("out"), copy, err);
}

Test(resume, pipes)
{
    put(kt_tmp_path("0"), kt_documents(200, 100));
    put(kt_tmp_path("1"), packed(kt_documents(200, 100), KT_CODEC_GZIP));
    put(kt_tmp_path("2"), kt_archive_sample(20));
    put(kt_tmp_path("3"), packed(kt_archive_sample(20), KT_CODEC_ZSTD));
    for (int i = 0; i < 4; i++) {
        struct kt_error err;
        struct kt_copy copy = {.want = 700, .checkpoint_every = 1, .stop_after = 4};
        const char *in = kt_tmp_path("%d", i);
        cr_assert_eq(copy_from_pipe(in, &copy, &err), KT_OK, "%s", err.message);
        copy.stop_after = 0;
        struct kt_buf plain, other;
        cr_assert_eq(kt_read_store(in, 1000, &plain, &err), KT_OK);
        /* The same length, one byte of the first document changed. */
        struct kt_buf raw = kt_slurp(kt_tmp_path("%d", i / 2 * 2));
        for (size_t k = 0; k < raw.nbytes; k++) {
            if (memcmp(raw.data + k, "\x02t\0", 3) != 0)
                continue;
            raw.data[k + 9] ^= 1;
            break;
        }
        other = kt_pack(kt_span_of(raw.data, raw.nbytes), i == 1   ? KT_CODEC_GZIP
                                                          : i == 3 ? KT_CODEC_ZSTD
                                                                   : KT_CODEC_NONE);
        kt_write_file(kt_tmp_path("other"), other.data, other.nbytes);
        cr_assert_eq(copy_from_pipe(kt_tmp_path("other"), &copy, &err), KT_E_OTHER_JOB, "input %d", i);
        cr_assert(strstr(err.message, "the bytes differ"), "%s", err.message);
        cr_assert_eq(copy_from_pipe(in, &copy, &err), KT_OK, "%s", err.message);
        cr_assert(copy.resumed);
        expect_same_documents(in, kt_tmp_path("out"));
        unlink(kt_tmp_path("out"));
        kt_buf_free(&plain);
        kt_buf_free(&other);
        kt_buf_free(&raw);
    }
}

Test(resume, pipe_that_ends_early)
{
    put(kt_tmp_path("in"), kt_documents(200, 100));
    put(kt_tmp_path("short"), kt_documents(2, 100));
    struct kt_error err;
    struct kt_copy copy = {.want = 700, .checkpoint_every = 1, .stop_after = 4};
    cr_assert_eq(copy_from_pipe(kt_tmp_path("in"), &copy, &err), KT_OK);
    cr_assert_eq(copy_from_pipe(kt_tmp_path("short"), &copy, &err), KT_E_OTHER_JOB);
    cr_assert(strstr(err.message, "shorter than when"), "%s", err.message);
}
