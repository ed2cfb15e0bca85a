/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/state.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/io/mongo/mongo_support.h"

static const uint8_t me[16] = "me", other[16] = "other";

static struct kt_state_job job_of(struct kt_test_server *server, size_t ranges)
{
    struct kt_state_job job = {.state_db = server->db,
                               .ns = "shop.customers",
                               .command = "encrypt",
                               .job = "abc",
                               .partitions = 1,
                               .ranges_count = ranges};
    job.bounds = calloc(ranges, sizeof *job.bounds);
    for (size_t i = 0; i + 1 < ranges; i++) {
        char json[60];
        snprintf(json, sizeof json, "{\"_id\": %zu}", 10 * (i + 1));
        job.bounds[i] = kt_test_id(json);
    }
    return job;
}

Test(state, the_first_job_wins_and_is_read_back)
{
    struct kt_test_server server;
    bool found, ours;
    kt_test_open(&server);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK, "%s", server.err.message);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    struct kt_state_job read = {.state_db = server.db, .ns = "shop.customers"};
    cr_assert_eq(kt_state_job_read(server.mongo, &read, &found, &server.err), KT_OK);
    cr_assert_not(found);
    struct kt_state_job job = job_of(&server, 4), later = job_of(&server, 2);
    cr_assert_eq(kt_state_job_insert(server.mongo, &job, &ours, &server.err), KT_OK);
    cr_assert(ours);
    cr_assert_eq(kt_state_job_insert(server.mongo, &later, &ours, &server.err), KT_OK);
    cr_assert_not(ours);
    cr_assert_eq(kt_state_job_read(server.mongo, &read, &found, &server.err), KT_OK);
    cr_assert(found);
    cr_assert_eq(read.ranges_count, 4);
    cr_assert_str_eq(read.command, "encrypt");
    cr_assert_str_eq(read.job, "abc");
    for (size_t i = 0; i < 3; i++)
        cr_assert(kt_id_equal(&read.bounds[i], &job.bounds[i]));
    cr_assert_eq(kt_state_forget(server.mongo, server.db, "shop.customers", &server.err), KT_OK);
    struct kt_state_job gone = {.state_db = server.db, .ns = "shop.customers"};
    cr_assert_eq(kt_state_job_read(server.mongo, &gone, &found, &server.err), KT_OK);
    cr_assert_not(found);
    kt_state_job_free(&job);
    kt_state_job_free(&later);
    kt_state_job_free(&read);
    kt_test_close(&server);
}

Test(state, a_range_moves_with_its_transaction_and_only_for_its_owner)
{
    struct kt_test_server server;
    struct kt_lane lane;
    struct kt_state_range ranges[2];
    struct kt_id to = kt_test_id("{\"_id\": \"x\"}");
    bson_t counts = BSON_INITIALIZER;
    BSON_APPEND_INT64(&counts, "documents", 7);
    kt_test_open(&server);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    struct kt_state_job job = job_of(&server, 4);
    for (int i = 0; i < 2; i++)
        kt_state_range_init(&ranges[i], 0);
    /* Ranges 1 and 3: the second of two partitions. */
    cr_assert_eq(kt_state_ranges_take(server.mongo, &job, me, 1, 2, ranges, &server.err), KT_OK, "%s",
                 server.err.message);
    cr_assert_eq(ranges[0].n, 1);
    cr_assert_eq(ranges[1].n, 3);
    cr_assert_not(kt_id_is_set(&ranges[1].at));
    cr_assert_eq(kt_lane_open(&lane, server.mongo, false, &server.err), KT_OK);
    cr_assert_eq(kt_txn_begin(&lane, &server.err), KT_TXN_OK);
    cr_assert_eq(kt_state_range_move(&lane, &job, me, &ranges[1], &to, true, &counts, &server.err), KT_TXN_OK,
                 "%s", server.err.message);
    cr_assert_eq(kt_state_failures_put(&lane, &job, 3, kt_span_str("{}\n"), &server.err), KT_TXN_OK);
    cr_assert_eq(kt_txn_commit(&lane, 10000, &server.err), KT_TXN_OK);

    uint64_t left;
    cr_assert_eq(kt_state_left(server.mongo, &job, &left, &server.err), KT_OK);
    cr_assert_eq(left, 4, "three ranges, and a list that nobody has read");
    cr_assert_eq(kt_state_failures_drop(server.mongo, &job, 0, 2, &server.err), KT_OK);
    cr_assert_eq(kt_state_left(server.mongo, &job, &left, &server.err), KT_OK);
    cr_assert_eq(left, 4, "it is another partition's");
    cr_assert_eq(kt_state_failures_drop(server.mongo, &job, 1, 2, &server.err), KT_OK);
    cr_assert_eq(kt_state_left(server.mongo, &job, &left, &server.err), KT_OK);
    cr_assert_eq(left, 3);
    /* It does not stand where this one believes. */
    cr_assert_eq(kt_txn_begin(&lane, &server.err), KT_TXN_OK);
    cr_assert_eq(kt_state_range_move(&lane, &job, me, &ranges[1], &to, true, &counts, &server.err),
                 KT_TXN_LOST);
    cr_assert_eq(kt_state_range_read(server.mongo, &job, &ranges[1], &server.err), KT_OK);
    cr_assert(kt_id_equal(&ranges[1].at, &to));
    cr_assert(ranges[1].done);
    cr_assert(bson_has_field(&ranges[1].counts, "documents"));
    cr_assert_eq(memcmp(ranges[1].owner, me, 16), 0);
    /* Another takes over: what was done stays, the former owner's move is refused. */
    struct kt_state_range theirs[2];
    for (int i = 0; i < 2; i++)
        kt_state_range_init(&theirs[i], 0);
    cr_assert_eq(kt_state_ranges_take(server.mongo, &job, other, 1, 2, theirs, &server.err), KT_OK);
    cr_assert(theirs[1].done);
    cr_assert_not(theirs[0].done);
    cr_assert_eq(kt_txn_begin(&lane, &server.err), KT_TXN_OK);
    cr_assert_eq(kt_state_range_move(&lane, &job, me, &ranges[0], &to, false, &counts, &server.err),
                 KT_TXN_LOST);
    cr_assert_not_null(strstr(server.err.message, "lease lost"), "%s", server.err.message);
    for (int i = 0; i < 2; i++) {
        kt_state_range_free(&ranges[i]);
        kt_state_range_free(&theirs[i]);
    }
    kt_lane_close(&lane);
    kt_id_free(&to);
    bson_destroy(&counts);
    kt_state_job_free(&job);
    kt_test_close(&server);
}

static enum kt_status gather(void *context, struct kt_span lines, struct kt_error *err)
{
    (void)err;
    return kt_buf_append(context, lines.data, lines.nbytes);
}

Test(state, failures_of_aborted_batches_are_not_kept)
{
    struct kt_test_server server;
    struct kt_lane lane;
    struct kt_buf lines = {0};
    kt_test_open(&server);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    struct kt_state_job job = job_of(&server, 1);
    cr_assert_eq(kt_lane_open(&lane, server.mongo, false, &server.err), KT_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(kt_txn_begin(&lane, &server.err), KT_TXN_OK);
        cr_assert_eq(kt_state_failures_put(&lane, &job, 0, kt_span_str(i ? "b\n" : "a\n"), &server.err),
                     KT_TXN_OK);
        if (i)
            cr_assert_eq(kt_txn_commit(&lane, 10000, &server.err), KT_TXN_OK);
        else
            kt_txn_abort(&lane);
    }
    cr_assert_eq(kt_state_failures_each(server.mongo, &job, 0, 1, gather, &lines, &server.err), KT_OK);
    cr_assert(kt_span_equal(kt_span_of(lines.data, lines.nbytes), kt_span_str("b\n")));
    kt_buf_free(&lines);
    kt_lane_close(&lane);
    kt_state_job_free(&job);
    kt_test_close(&server);
}

/* A former job is dropped late: the one that began since keeps all of its own. */
Test(state, jobs_of_one_namespace_are_told_apart)
{
    struct kt_test_server server;
    struct kt_state_range range;
    bool ours, found;
    kt_test_open(&server);
    cr_assert_eq(kt_state_create(server.mongo, server.db, &server.err), KT_OK);
    struct kt_state_job former = job_of(&server, 1), job = job_of(&server, 1);
    memcpy(former.id, "former", 6);
    memcpy(job.id, "later", 5);
    kt_state_range_init(&range, 0);
    cr_assert_eq(kt_state_ranges_take(server.mongo, &former, other, 0, 1, &range, &server.err), KT_OK);
    cr_assert_eq(kt_state_job_insert(server.mongo, &job, &ours, &server.err), KT_OK);
    cr_assert(ours);
    cr_assert_neq(kt_state_range_read(server.mongo, &former, &range, &server.err), KT_OK,
                  "the remainder is removed");
    cr_assert_eq(kt_state_ranges_take(server.mongo, &job, me, 0, 1, &range, &server.err), KT_OK);
    cr_assert_eq(kt_state_drop(server.mongo, &former, &server.err), KT_OK);
    struct kt_state_job now = {.state_db = server.db, .ns = job.ns};
    cr_assert_eq(kt_state_job_read(server.mongo, &now, &found, &server.err), KT_OK);
    cr_assert(found);
    cr_assert_eq(memcmp(now.id, job.id, sizeof now.id), 0);
    kt_state_job_free(&now);
    cr_assert_eq(kt_state_range_read(server.mongo, &job, &range, &server.err), KT_OK);
    cr_assert_eq(kt_state_drop(server.mongo, &job, &server.err), KT_OK);
    cr_assert_eq(kt_state_job_read(server.mongo, &now, &found, &server.err), KT_OK);
    cr_assert_not(found);
    kt_state_range_free(&range);
    kt_state_job_free(&former);
    kt_state_job_free(&job);
    kt_test_close(&server);
}
