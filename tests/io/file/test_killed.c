/* SPDX-License-Identifier: Apache-2.0 */
/* A copy is killed at each of its system calls in turn, and done again: what stands under the final name is
 * whole, and nothing is left over. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/io/io_support.h"

TestSuite(killed, .fini = kt_tmp_remove);

static void copy_in_child(const char *in, const char *out)
{
    struct kt_copy copy = {.want = 700, .checkpoint_every = 2};
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    raise(SIGSTOP);
    _exit(kt_copy_store(in, out, &copy, NULL) == KT_OK ? 0 : 1);
}

enum ending { KILLED, ENDED, NO_PTRACE };

/* Runs the copy and kills it at its system call number `at` (each counts twice: before and after). */
static enum ending copy_killed_at(const char *in, const char *out, unsigned at)
{
    int status;
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0)
        copy_in_child(in, out);
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        return NO_PTRACE;
    for (unsigned i = 0;; i++) {
        if (i == at) {
            kill(child, SIGKILL);
            cr_assert_eq(waitpid(child, &status, 0), child);
            return KILLED;
        }
        cr_assert_eq(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0, "%s", strerror(errno));
        cr_assert_eq(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            cr_assert_eq(WEXITSTATUS(status), 0, "the copy itself failed");
            return ENDED;
        }
        cr_assert(WIFSTOPPED(status));
    }
}

static void expect_whole(const char *in, const char *out, unsigned at)
{
    struct kt_buf a, b;
    struct kt_error err;
    cr_assert_eq(kt_read_store(in, 4096, &a, &err), KT_OK);
    cr_assert_eq(kt_read_store(out, 4096, &b, &err), KT_OK, "killed at %u: %s", at, err.message);
    cr_assert(kt_span_equal(kt_span_of(a.data, a.nbytes), kt_span_of(b.data, b.nbytes)), "killed at %u", at);
    kt_buf_free(&a);
    kt_buf_free(&b);
}

static void kill_everywhere(const char *in)
{
    const char *out = kt_tmp_path("out");
    enum ending ending = KILLED;
    unsigned at = 0, resumed = 0, was_done = 0;
    for (; ending == KILLED; at++) {
        ending = copy_killed_at(in, out, at);
        if (ending == NO_PTRACE)
            cr_skip_test("processes cannot be traced here");
        struct kt_copy copy = {.want = 700, .checkpoint_every = 2};
        struct kt_error err;
        if (kt_path_exists(out)) {
            was_done++;
            expect_whole(in, out, at);
            cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_E_EXISTS, "done already");
            kt_run("rm -r '%s'", out); /* and a leftover checkpoint stays for the next run */
        }
        cr_assert_eq(kt_copy_store(in, out, &copy, &err), KT_OK, "killed at %u: %s", at, err.message);
        resumed += copy.resumed;
        expect_whole(in, out, at);
        cr_assert_not(kt_path_exists(kt_tmp_path("out.part")));
        cr_assert_not(kt_path_exists(kt_tmp_path("out.part.checkpoint")));
        cr_assert_not(kt_path_exists(kt_tmp_path("out.part.checkpoint.new")));
        kt_run("rm -r '%s'", out);
    }
    cr_assert_gt(at, 100u);
    cr_assert_gt(resumed, at / 4, "%u of %u went on from a checkpoint", resumed, at);
    cr_assert_gt(was_done, 1u, "some are killed behind the rename");
}

static void put(const char *path, struct kt_buf bytes)
{
    kt_write_file(path, bytes.data, bytes.nbytes);
    kt_buf_free(&bytes);
}

Test(killed, file)
{
    put(kt_tmp_path("in"), kt_documents(50, 100));
    kill_everywhere(kt_tmp_path("in"));
}

Test(killed, gzipped_file)
{
    struct kt_buf docs = kt_documents(50, 100);
    put(kt_tmp_path("in"), kt_pack(kt_span_of(docs.data, docs.nbytes), KT_CODEC_GZIP));
    kt_buf_free(&docs);
    kill_everywhere(kt_tmp_path("in"));
}

Test(killed, archive)
{
    put(kt_tmp_path("in"), kt_archive_sample(4));
    kill_everywhere(kt_tmp_path("in"));
}

Test(killed, folder)
{
    put(kt_tmp_path("in/db/a.bson"), kt_documents(20, 100));
    put(kt_tmp_path("in/db/b.bson"), kt_documents(20, 100));
    put(kt_tmp_path("in/note.txt"), kt_documents(5, 100));
    kill_everywhere(kt_tmp_path("in"));
}
