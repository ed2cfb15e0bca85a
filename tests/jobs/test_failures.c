/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/failures.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST "a.b-failed.ndjson"
#define FIRST "{ \"ns\" : \"a.b\", \"_id\" : 1 }\n"
#define SECOND "{ \"ns\" : \"a.b\", \"_id\" : 2 }\n"
#define OTHER "{ \"ns\" : \"a.b\", \"_id\" : 3 }\n"

static char folder[] = "/tmp/kt-failures-XXXXXX";
static struct kt_error err;
static struct kt_failures job, other;

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void cleanup(void)
{
    static const char *const names[] = {LIST, "a.c-failed.ndjson", "list"};
    kt_failures_free(&job);
    kt_failures_free(&other);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    cr_assert_eq(chdir("/"), 0);
    rmdir(folder);
}

TestSuite(failures, .init = setup, .fini = cleanup);

static enum kt_status put(struct kt_failures *failures, const char *ns, const char *lines)
{
    return kt_failures_put(failures, ns, kt_span_of((const uint8_t *)lines, strlen(lines)), &err);
}

static void write_file(const char *name, const char *text)
{
    FILE *out = fopen(name, "w");
    cr_assert(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static void assert_holds(const char *name, const char *text)
{
    char now[1024] = "";
    FILE *in = fopen(name, "r");
    cr_assert_not_null(in, "%s", name);
    now[fread(now, 1, sizeof now - 1, in)] = 0;
    fclose(in);
    cr_assert_str_eq(now, text);
}

/* What a job killed at this moment has left: its lists are closed, its checkpoint is here. */
static bson_t *killed(void)
{
    bson_t *checkpoint = bson_new();
    cr_assert_eq(kt_failures_save(&job, checkpoint, &err), KT_OK, "%s", err.message);
    kt_failures_free(&job);
    return checkpoint;
}

static void assert_refused(const bson_t *checkpoint, enum kt_status why, const char *says)
{
    cr_assert_eq(kt_failures_load(&job, checkpoint, &err), why, "%s", err.message);
    cr_assert(strstr(err.message, says), "%s", err.message);
    kt_failures_free(&job);
}

Test(failures, a_list_that_another_job_holds)
{
    cr_assert_eq(put(&job, "a.b", FIRST), KT_OK);
    cr_assert_eq(kt_failures_check(&other, "a.b", NULL, 0, &err), KT_E_BUSY);
    cr_assert(strstr(err.message, LIST) && strstr(err.message, "--failures"), "%s", err.message);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(put(&other, "a.b", OTHER), KT_E_IO);
        cr_assert(strstr(err.message, LIST) && strstr(err.message, "repeat"), "%s", err.message);
    }
    cr_assert_null(kt_failures_first_name(&other));
    cr_assert_eq(kt_failures_check(&other, "a.c", NULL, 0, &err), KT_OK);
    cr_assert_eq(put(&job, "a.b", SECOND), KT_OK);
    assert_holds(LIST, FIRST SECOND);
    cr_assert_eq(kt_failures_finish(&job, &err), KT_OK);
    cr_assert_eq(kt_failures_check(&other, "a.b", NULL, 0, &err), KT_OK);
    cr_assert_eq(put(&other, "a.b", OTHER), KT_OK);
    assert_holds(LIST, OTHER);
}

Test(failures, a_list_that_another_job_has_left_meanwhile)
{
    for (int old = 0; old < 2; old++) {
        cr_assert_eq(kt_failures_check(&job, "a.b", NULL, 0, &err), KT_OK);
        cr_assert_eq(kt_failures_check(&other, "a.b", NULL, 0, &err), KT_OK);
        cr_assert_eq(put(&other, "a.b", OTHER SECOND), KT_OK);
        cr_assert_eq(kt_failures_finish(&other, &err), KT_OK);
        cr_assert_eq(put(&job, "a.b", FIRST), KT_E_IO);
        cr_assert(strstr(err.message, LIST) && strstr(err.message, "move that list"), "%s", err.message);
        assert_holds(LIST, OTHER SECOND);
        kt_failures_free(&job);
        kt_failures_free(&other);
        write_file(LIST, FIRST); /* the second time around there is a list already */
    }
}

Test(failures, a_list_is_kept_apart)
{
    const struct kt_named_path others[] = {{"--only", NULL}, {"--backup", LIST}};
    cr_assert_eq(kt_failures_check(&job, "a.b", others, 2, &err), KT_E_USAGE);
    cr_assert(strstr(err.message, LIST) && strstr(err.message, "--backup"), "%s", err.message);
    cr_assert_eq(kt_failures_check(&job, "a.c", others, 2, &err), KT_OK);
}

/* Whoever waits there for a reader would take the look for one. */
Test(failures, a_pipe_is_not_opened_to_look_at_it)
{
    char event[512];
    int watch = inotify_init1(IN_NONBLOCK);
    cr_assert_eq(mkfifo("list", 0600), 0);
    cr_assert_geq(inotify_add_watch(watch, "list", IN_OPEN), 0);
    job.named = "list";
    cr_assert_eq(kt_failures_check(&job, "a.b", NULL, 0, &err), KT_OK);
    cr_expect_lt(read(watch, event, sizeof event), 0);
    close(open("list", O_RDONLY | O_NONBLOCK));
    cr_expect_gt(read(watch, event, sizeof event), 0);
    close(watch);
}

Test(failures, devices_and_pipes_are_shared)
{
    cr_assert_eq(mkfifo("list", 0600), 0);
    FILE *end = fopen("list", "r+");
    cr_assert_not_null(end);
    for (int i = 0; i < 2; i++) {
        job.named = other.named = i ? "/dev/null" : "list";
        cr_expect_eq(put(&job, "a.b", FIRST), KT_OK);
        cr_expect_eq(kt_failures_check(&other, "a.b", NULL, 0, &err), KT_OK, "%s", err.message);
        cr_expect_eq(put(&other, "a.b", OTHER), KT_OK);
        bson_t *checkpoint = killed();
        job.named = other.named;
        cr_expect_eq(kt_failures_load(&job, checkpoint, &err), KT_OK, "%s", err.message);
        bson_destroy(checkpoint);
        kt_failures_free(&job);
        kt_failures_free(&other);
    }
    fclose(end);
}

Test(failures, a_list_goes_on_behind_its_checkpoint)
{
    bson_t checkpoint = BSON_INITIALIZER;
    cr_assert_eq(put(&job, "a.b", FIRST), KT_OK);
    cr_assert_eq(kt_failures_save(&job, &checkpoint, &err), KT_OK);
    cr_assert_eq(put(&job, "a.b", OTHER), KT_OK);
    kt_failures_free(&job);
    cr_assert_eq(kt_failures_load(&job, &checkpoint, &err), KT_OK, "%s", err.message);
    bson_destroy(&checkpoint);
    assert_holds(LIST, FIRST);
    cr_assert_eq(put(&job, "a.b", SECOND), KT_OK);
    assert_holds(LIST, FIRST SECOND);
    bson_t *again = killed();
    cr_assert_eq(kt_failures_load(&job, again, &err), KT_OK, "%s", err.message);
    bson_destroy(again);
    assert_holds(LIST, FIRST SECOND);
}

Test(failures, a_list_that_is_another_one_by_now)
{
    cr_assert_eq(put(&job, "a.b", FIRST SECOND), KT_OK);
    cr_assert_eq(put(&job, "a.c", FIRST), KT_OK);
    bson_t *checkpoint = killed();
    static const char *const changed[] = {FIRST OTHER, FIRST OTHER SECOND, FIRST, ""};
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        write_file(LIST, changed[i]);
        assert_refused(checkpoint, KT_E_OTHER_JOB, LIST " is not as the unfinished job left it");
        assert_holds(LIST, changed[i]);
    }
    unlink(LIST);
    assert_refused(checkpoint, KT_E_OTHER_JOB, "--forget");
    cr_assert_neq(access(LIST, F_OK), 0);
    write_file(LIST, FIRST SECOND OTHER);
    write_file("a.c-failed.ndjson", SECOND);
    assert_refused(checkpoint, KT_E_OTHER_JOB, "a.c-failed.ndjson");
    assert_holds(LIST, FIRST SECOND OTHER);
    write_file("a.c-failed.ndjson", FIRST);
    cr_assert_eq(kt_failures_load(&job, checkpoint, &err), KT_OK, "%s", err.message);
    bson_destroy(checkpoint);
    assert_holds(LIST, FIRST SECOND);
}

Test(failures, a_list_that_another_job_has_taken_meanwhile)
{
    cr_assert_eq(put(&job, "a.b", FIRST), KT_OK);
    bson_t *checkpoint = killed();
    cr_assert_eq(kt_failures_check(&other, "a.b", NULL, 0, &err), KT_OK);
    cr_assert_eq(put(&other, "a.b", OTHER), KT_OK);
    assert_refused(checkpoint, KT_E_BUSY, "--failures");
    assert_holds(LIST, OTHER);
    bson_destroy(checkpoint);
}

Test(failures, a_checkpoint_that_does_not_say_all)
{
    cr_assert_eq(put(&job, "a.b", FIRST), KT_OK);
    kt_failures_free(&job);
    bson_t *none = BCON_NEW("failures", "[", "]", "failuresNamed", BCON_UTF8(""));
    cr_assert_eq(kt_failures_load(&job, none, &err), KT_OK);
    bson_t *without =
        BCON_NEW("failures", "[", "{", "name", BCON_UTF8(LIST), "nbytes", BCON_INT64(1), "}", "]");
    assert_refused(without, KT_E_FORMAT, "damaged");
    bson_t *negative = BCON_NEW("failures", "[", "{", "name", BCON_UTF8(LIST), "nbytes", BCON_INT64(-1),
                                "crc64", BCON_INT64(0), "}", "]");
    assert_refused(negative, KT_E_FORMAT, "damaged");
    assert_holds(LIST, FIRST);
    bson_destroy(none);
    bson_destroy(without);
    bson_destroy(negative);
}

Test(failures, a_name_that_no_file_can_have)
{
    char ns[NAME_MAX - 10];
    memset(ns, 'n', sizeof ns);
    ns[1] = '.';
    ns[NAME_MAX - 14] = 0; /* NAME_MAX with -failed.ndjson */
    cr_assert_eq(kt_failures_check(&job, ns, NULL, 0, &err), KT_OK, "%s", err.message);
    job.parts = 2;
    cr_assert_eq(kt_failures_check(&job, ns, NULL, 0, &err), KT_E_USAGE);
    cr_assert(strstr(err.message, "-0-of-2") && strstr(err.message, "--failures"), "%s", err.message);
    job.named = "list";
    cr_assert_eq(kt_failures_check(&job, ns, NULL, 0, &err), KT_OK, "%s", err.message);
}
