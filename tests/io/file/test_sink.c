/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/io_support.h"

TestSuite(sink, .fini = kt_tmp_remove);

static const char *make_input(uint32_t n)
{
    struct kt_buf docs = kt_documents(n, 300);
    kt_write_file(kt_tmp_path("in.bson"), docs.data, docs.nbytes);
    kt_buf_free(&docs);
    return kt_tmp_path("in.bson");
}

static struct kt_source *open_input(uint32_t n)
{
    struct kt_source *source;
    struct kt_error err;
    cr_assert_eq(kt_source_open(&source, make_input(n), NULL, &err), KT_OK, "%s", err.message);
    return source;
}

static enum kt_status copy_to(const char *to, uint32_t n, struct kt_error *err)
{
    struct kt_copy copy = {.want = 10000};
    return kt_copy_store(make_input(n), to, &copy, err);
}

static void expect_nothing_but_input(void)
{
    kt_run("test \"$(ls -A '%s')\" = in.bson", kt_tmp());
}

Test(sink, name_exists)
{
    struct kt_error err;
    kt_write_file(kt_tmp_path("out"), "theirs", 6);
    cr_assert_eq(copy_to(kt_tmp_path("out"), 10, &err), KT_E_EXISTS);
    cr_assert(strstr(err.message, "/out: exists already"), "%s", err.message);
    cr_assert_not(kt_path_exists(kt_tmp_path("out.part")));
    struct kt_buf kept = kt_slurp(kt_tmp_path("out"));
    cr_assert(kt_span_equal(kt_span_of(kept.data, kept.nbytes), kt_span_str("theirs")));
    kt_buf_free(&kept);
}

/* A part that carries nothing of ours may be somebody's file. */
Test(sink, foreign_part)
{
    struct kt_error err;
    kt_write_file(kt_tmp_path("out.part"), "a download", 10);
    cr_assert_eq(copy_to(kt_tmp_path("out"), 10, &err), KT_E_EXISTS);
    cr_assert(strstr(err.message, "carries no checkpoint"), "%s", err.message);
    struct kt_buf kept = kt_slurp(kt_tmp_path("out.part"));
    cr_assert(kt_span_equal(kt_span_of(kept.data, kept.nbytes), kt_span_str("a download")));
    kt_buf_free(&kept);
}

Test(sink, stale_checkpoint_is_not_believed)
{
    struct kt_error err;
    struct kt_copy copy = {.want = 10000, .checkpoint_every = 1, .stop_after = 5};
    cr_assert_eq(kt_copy_store(make_input(500), kt_tmp_path("out"), &copy, &err), KT_OK, "%s", err.message);
    cr_assert(kt_path_exists(kt_tmp_path("out.part.checkpoint")));
    unlink(kt_tmp_path("out.part"));
    for (int empty = 0; empty < 2; empty++) {
        copy = (struct kt_copy){.want = 10000};
        kt_run("cp '%s' '%s'", kt_tmp_path("out.part.checkpoint"), kt_tmp_path("saved"));
        if (empty)
            kt_write_file(kt_tmp_path("out.part"), "", 0);
        cr_assert_eq(kt_copy_store(kt_tmp_path("in.bson"), kt_tmp_path("out"), &copy, &err), KT_OK, "%s",
                     err.message);
        cr_assert_not(copy.resumed);
        kt_assert_same_file(kt_tmp_path("in.bson"), kt_tmp_path("out"));
        cr_assert_not(kt_path_exists(kt_tmp_path("out.part.checkpoint")));
        unlink(kt_tmp_path("out"));
        kt_run("mv '%s' '%s'", kt_tmp_path("saved"), kt_tmp_path("out.part.checkpoint"));
    }
}

Test(sink, part_shorter_than_its_checkpoint)
{
    struct kt_error err;
    struct kt_copy copy = {.want = 10000, .checkpoint_every = 1, .stop_after = 5};
    cr_assert_eq(kt_copy_store(make_input(500), kt_tmp_path("out"), &copy, &err), KT_OK, "%s", err.message);
    cr_assert_eq(truncate(kt_tmp_path("out.part"), 100), 0);
    copy = (struct kt_copy){.want = 10000};
    cr_assert_eq(kt_copy_store(kt_tmp_path("in.bson"), kt_tmp_path("out"), &copy, &err), KT_E_FORMAT);
    cr_assert(strstr(err.message, "out.part: shorter than its checkpoint says"), "%s", err.message);
}

Test(sink, restart_throws_away_what_was_done)
{
    struct kt_error err;
    struct kt_copy copy = {.want = 10000, .checkpoint_every = 1, .stop_after = 5};
    cr_assert_eq(kt_copy_store(make_input(500), kt_tmp_path("out"), &copy, &err), KT_OK, "%s", err.message);
    struct kt_source *source;
    struct kt_sink *sink;
    cr_assert_eq(kt_source_open(&source, kt_tmp_path("in.bson"), NULL, &err), KT_OK);
    cr_assert_eq(kt_sink_open(&sink, kt_tmp_path("out"), source, &err), KT_OK, "%s", err.message);
    cr_assert_not_null(kt_sink_position(sink));
    struct kt_piece piece = {.kind = KT_PIECE_DOCS, .opens = true, .closes = true, .nbytes = 5};
    struct kt_span doc = kt_span_of("\5\0\0\0\0", 5);
    cr_assert_eq(kt_sink_put(sink, kt_source_entry(source, 0), &piece, doc, &err), KT_E_INTERNAL,
                 "neither begun anew nor resumed");
    cr_assert_eq(kt_sink_restart(sink, &err), KT_OK, "%s", err.message);
    cr_assert_null(kt_sink_position(sink));
    cr_assert_eq(kt_sink_put(sink, kt_source_entry(source, 0), &piece, doc, &err), KT_OK, "%s", err.message);
    cr_assert_eq(kt_sink_finish(sink, &err), KT_OK, "%s", err.message);
    kt_sink_close(sink, true);
    kt_source_close(source);
    struct kt_buf got = kt_slurp(kt_tmp_path("out"));
    cr_assert(kt_span_equal(kt_span_of(got.data, got.nbytes), doc));
    kt_buf_free(&got);
}

Test(sink, discard_leaves_nothing)
{
    struct kt_source *source = open_input(10);
    struct kt_sink *sink;
    cr_assert_eq(kt_sink_open(&sink, kt_tmp_path("out"), source, NULL), KT_OK);
    kt_sink_close(sink, true);
    expect_nothing_but_input();
    struct kt_copy copy = {.want = 1000, .checkpoint_every = 1, .stop_after = 2};
    cr_assert_eq(kt_copy_store(kt_tmp_path("in.bson"), kt_tmp_path("out"), &copy, NULL), KT_OK);
    cr_assert_eq(kt_sink_open(&sink, kt_tmp_path("out"), source, NULL), KT_OK);
    kt_sink_close(sink, true);
    expect_nothing_but_input();
    kt_source_close(source);
    kt_sink_close(NULL, true);
}

Test(sink, streams)
{
    struct kt_error err;
    cr_assert_eq(copy_to("/dev/null", 100, &err), KT_OK, "%s", err.message);
    cr_assert_eq(copy_to("/dev/full", 100, &err), KT_E_IO);
    cr_assert(strstr(err.message, "/dev/full") && strstr(err.message, "No space left"), "%s", err.message);
    const char *fifo = kt_tmp_path("fifo"), *got = kt_tmp_path("got");
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    kt_run("(cat '%s' > '%s'; touch '%s.done') &", fifo, got, got);
    cr_assert_eq(copy_to(fifo, 100, &err), KT_OK, "%s", err.message);
    kt_run("while ! test -e '%s.done'; do sleep 0.01; done", got);
    kt_assert_same_file(kt_tmp_path("in.bson"), got);
    struct kt_source *source = open_input(1);
    struct kt_sink *sink;
    cr_assert_eq(kt_sink_open(&sink, "/dev/null", source, NULL), KT_OK);
    cr_assert(kt_sink_is_stream(sink));
    cr_assert_null(kt_sink_position(sink));
    bson_t job = BSON_INITIALIZER;
    cr_assert_eq(kt_sink_checkpoint(sink, &job, NULL), KT_OK, "which does nothing");
    kt_sink_close(sink, false);
    kt_source_close(source);
}

Test(sink, folder_to_a_stream)
{
    make_input(1);
    struct kt_copy copy = {0};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(kt_tmp(), "/dev/null", &copy, &err), KT_E_USAGE);
    cr_assert(strstr(err.message, "a folder cannot be written to a stream"), "%s", err.message);
}

Test(sink, output_inside_the_input)
{
    make_input(1);
    kt_make_folders(kt_tmp_path("sub/"));
    struct kt_copy copy = {0};
    struct kt_error err;
    cr_assert_eq(kt_copy_store(kt_tmp(), kt_tmp_path("out"), &copy, &err), KT_E_USAGE);
    cr_assert(strstr(err.message, "inside the input"), "%s", err.message);
    cr_assert_eq(kt_copy_store(kt_tmp(), kt_tmp_path("sub/out"), &copy, &err), KT_E_USAGE);
    kt_run("test \"$(cd '%s' && find . | sort | tr '\\n' ' ')\" = '. ./in.bson ./sub '", kt_tmp());
    cr_assert_eq(kt_copy_store(kt_tmp_path("sub"), kt_tmp_path("sub2"), &copy, &err), KT_OK, "%s",
                 err.message);
}

/* The disk fills up: a clear message, nothing under the final name; with room again the same copy goes on. */
Test(sink, full_disk_and_on)
{
    struct kt_error err;
    struct rlimit limit, full;
    make_input(2000);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    for (int codec = 0; codec < 3; codec++) {
        static const char *const pack[] = {"cat", "gzip -c", "zstd -qc"};
        const char *in = kt_tmp_path("in%d", codec), *out = kt_tmp_path("out%d", codec);
        kt_run("%s < '%s' > '%s'", pack[codec], kt_tmp_path("in.bson"), in);
        struct stat st;
        cr_assert_eq(stat(in, &st), 0);
        full = (struct rlimit){(rlim_t)st.st_size / 2, limit.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
        struct kt_copy copy = {.want = 10000, .checkpoint_every = 1};
        cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_E_IO);
        cr_assert(strstr(err.message, "out") && strstr(err.message, "File too large"), "%s", err.message);
        cr_assert_not(kt_path_exists(out));
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_OK, "%s", err.message);
        cr_assert(copy.resumed);
        struct kt_buf a, b;
        cr_assert_eq(kt_read_store(in, 10000, &a, &err), KT_OK);
        cr_assert_eq(kt_read_store(out, 10000, &b, &err), KT_OK, "%s", err.message);
        cr_assert(kt_span_equal(kt_span_of(a.data, a.nbytes), kt_span_of(b.data, b.nbytes)));
        kt_buf_free(&a);
        kt_buf_free(&b);
    }
}

Test(sink, closed_pipe)
{
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_assert_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    struct kt_error err;
    cr_assert_eq(copy_to("-", 2000, &err), KT_E_IO);
    cr_assert(strstr(err.message, "stdout: the reader of the pipe is gone"), "%s", err.message);
}

/* Broken input: the part stays for looking at, the final name never comes up. */
Test(sink, broken_input)
{
    struct kt_error err;
    make_input(500);
    cr_assert_eq(truncate(kt_tmp_path("in.bson"), 100001), 0);
    struct kt_copy copy = {.want = 10000, .checkpoint_every = 1};
    cr_assert_eq(kt_copy_store(kt_tmp_path("in.bson"), kt_tmp_path("out"), &copy, &err), KT_E_FORMAT);
    cr_assert_not(kt_path_exists(kt_tmp_path("out")));
}
