/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/guard.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/io/mongo/mongo_support.h"

struct guard {
    int fd;
    pid_t pid;
};

/* Before the driver is used in this process, as the program does it. */
static struct guard fork_guard(void)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[1]);
        _exit(kt_guard_serve(fds[0]));
    }
    close(fds[0]);
    return (struct guard){fds[1], pid};
}

static int end_of(struct guard *guard)
{
    int how;
    close(guard->fd);
    cr_assert_eq(waitpid(guard->pid, &how, 0), guard->pid);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 99;
}

static void leave_open(struct kt_test_server *server, struct kt_lane *lane)
{
    int64_t n;
    bson_t *update = BCON_NEW("update", "docs", "updates", "[", "{", "q", "{", "_id", BCON_INT32(1), "}", "u",
                              "{", "$set", "{", "a", BCON_INT32(1), "}", "}", "}", "]");
    kt_test_run(server, "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1}]}");
    cr_assert_eq(kt_lane_open(lane, server->mongo, false, &server->err), KT_OK);
    cr_assert_eq(kt_txn_begin(lane, &server->err), KT_TXN_OK);
    cr_assert_eq(
        kt_txn_write(lane, server->db, kt_span_of(bson_get_data(update), update->len), &n, &server->err),
        KT_TXN_OK);
    bson_destroy(update);
}

Test(guard, a_broken_pipe_ends_the_sessions)
{
    struct kt_test_server server;
    struct kt_lane lane;
    kt_test_uri();
    struct guard guard = fork_guard();
    kt_test_open(&server);
    leave_open(&server, &lane);
    cr_assert_eq(kt_guard_tell(guard.fd, server.mongo, lane.session_id, 1, &server.err), KT_OK);
    cr_assert_eq(end_of(&guard), 0);
    uint64_t before = kt_clock_ns();
    kt_test_run(
        &server,
        "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"a\": 2}}}]}");
    cr_assert_lt(kt_clock_ns() - before, 5000000000ull);
    cr_assert_eq(kt_txn_commit(&lane, 1000, &server.err), KT_TXN_AGAIN);
    kt_lane_close(&lane);
    kt_test_close(&server);
}

Test(guard, a_dismissed_one_leaves_them_alone)
{
    struct kt_test_server server;
    struct kt_lane lane;
    kt_test_uri();
    struct guard guard = fork_guard();
    kt_test_open(&server);
    leave_open(&server, &lane);
    cr_assert_eq(kt_guard_tell(guard.fd, server.mongo, lane.session_id, 1, &server.err), KT_OK);
    kt_guard_dismiss(guard.fd);
    cr_assert_eq(end_of(&guard), 0);
    cr_assert_eq(kt_txn_commit(&lane, 1000, &server.err), KT_TXN_OK);
    kt_lane_close(&lane);
    kt_test_close(&server);
}

Test(guard, nonsense_in_the_pipe_harms_nothing)
{
    struct guard guard = fork_guard();
    cr_assert_eq(write(guard.fd, "\xff\xff\xff\x7fxx", 6), 6);
    cr_assert_eq(end_of(&guard), 0);
    guard = fork_guard();
    cr_assert_eq(write(guard.fd, "\x05\x00\x00\x00\x00", 5), 5);
    cr_assert_eq(end_of(&guard), 0);
    cr_assert_eq(kt_guard_tell(-1, NULL, NULL, 0, NULL), KT_OK);
}
