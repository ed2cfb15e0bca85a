/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/io/mongo/mongo_support.h"

struct rig {
    struct kt_test_server server;
    struct kt_lane lane;
    struct kt_region into;
    size_t nbytes;
    uint32_t count;
    struct kt_range_read read;
};

static void rig_open(struct rig *rig, const char *insert)
{
    kt_test_open(&rig->server);
    rig->into = (struct kt_region){0};
    if (insert)
        kt_test_run(&rig->server, insert);
    cr_assert_eq(kt_lane_open(&rig->lane, rig->server.mongo, false, &rig->server.err), KT_OK);
    rig->read = (struct kt_range_read){.db = rig->server.db, .coll = "docs", .limit = 100};
}

static void rig_close(struct rig *rig)
{
    kt_lane_close(&rig->lane);
    kt_region_free(&rig->into);
    kt_test_close(&rig->server);
}

static enum kt_txn_end find(struct rig *rig)
{
    cr_assert_eq(kt_txn_begin(&rig->lane, &rig->server.err), KT_TXN_OK);
    return kt_txn_find(&rig->lane, &rig->read, &rig->into, &rig->nbytes, &rig->count, &rig->server.err);
}

static enum kt_txn_end write_json(struct rig *rig, const char *json, int64_t *n)
{
    bson_error_t error;
    bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &error);
    cr_assert_not_null(command, "%s", error.message);
    enum kt_txn_end end = kt_txn_write(&rig->lane, rig->server.db,
                                       kt_span_of(bson_get_data(command), command->len), n, &rig->server.err);
    bson_destroy(command);
    return end;
}

/* All types that an _id may have, MinKey and MaxKey too, in index order. */
static const char *const mixed =
    "{\"insert\": \"docs\", \"documents\": [{\"_id\": {\"$maxKey\": 1}}, {\"_id\": \"b\"}, {\"_id\": "
    "{\"$minKey\": 1}}, {\"_id\": 1}, {\"_id\": null}, {\"_id\": {\"$oid\": \"5ca4bbcea2dd94ee58162a68\"}}, "
    "{\"_id\": "
    "{\"a\": 1}}, {\"_id\": {\"$binary\": {\"base64\": \"AA==\", \"subType\": \"00\"}}}, {\"_id\": true}, "
    "{\"_id\": "
    "{\"$date\": 0}}, {\"_id\": {\"$numberDecimal\": \"2.50\"}}, {\"_id\": {\"$timestamp\": {\"t\": 1, "
    "\"i\": "
    "1}}}, {\"_id\": \"\"}]}";
#define MIXED 13

/* Walks the collection in steps of `limit`, as a job does; returns how many documents it saw. */
static uint32_t walk(struct rig *rig, uint32_t limit)
{
    struct kt_id at = {0};
    uint32_t seen = 0;
    rig->read.limit = limit;
    for (;;) {
        rig->read.from = &at;
        rig->read.from_is_done = kt_id_is_set(&at);
        cr_assert_eq(find(rig), KT_TXN_OK, "%s", rig->server.err.message);
        kt_txn_abort(&rig->lane);
        if (rig->count == 0)
            break;
        cr_assert_leq(rig->count, limit);
        seen += rig->count;
        const uint8_t *doc = rig->into.data, *end = doc + rig->nbytes;
        while (doc + kt_load_le32(doc) < end)
            doc += kt_load_le32(doc);
        cr_assert_eq(kt_id_of_doc(&at, doc, kt_load_le32(doc)), KT_OK);
        if (kt_id_is_max_key(&at))
            break;
    }
    kt_id_free(&at);
    return seen;
}

Test(txn, ranges_go_through_ids_of_all_types)
{
    struct rig rig;
    rig_open(&rig, mixed);
    /* Behind a lower bound the server leaves _id MaxKey out: it is asked for by itself. */
    for (uint32_t limit = 1; limit < MIXED; limit++)
        cr_assert_eq(walk(&rig, limit), MIXED - 1, "limit %u", limit);
    cr_assert_eq(walk(&rig, 100), MIXED);
    rig.read.from_is_done = false;
    rig.read.max_key = true;
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(rig.count, 1);
    struct kt_id id = {0};
    cr_assert_eq(kt_id_of_doc(&id, rig.into.data, rig.nbytes), KT_OK);
    cr_assert(kt_id_is_max_key(&id));
    kt_id_free(&id);
    kt_txn_abort(&rig.lane);
    rig_close(&rig);
}

Test(txn, an_upper_bound_is_not_part_of_the_range)
{
    struct rig rig;
    struct kt_id from = kt_test_id("{\"_id\": 1}"), to = kt_test_id("{\"_id\": \"b\"}");
    rig_open(&rig, mixed);
    rig.read.from = &from;
    rig.read.to = &to;
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(rig.count, 3); /* 1, 2.50, "" */
    kt_txn_abort(&rig.lane);
    rig.read.from_is_done = true;
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(rig.count, 2);
    kt_txn_abort(&rig.lane);
    kt_id_free(&from);
    kt_id_free(&to);
    rig_close(&rig);
}

/* An _id that compares equal to the last one is another document when its bytes differ: it is not passed
 * over. */
Test(txn, a_document_that_took_the_last_ones_place_is_seen)
{
    struct rig rig;
    struct kt_id from = kt_test_id("{\"_id\": {\"$numberLong\": \"1\"}}");
    rig_open(&rig, "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1}, {\"_id\": 2}]}");
    rig.read.from = &from;
    rig.read.from_is_done = true;
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(rig.count, 2);
    kt_txn_abort(&rig.lane);
    kt_id_free(&from);
    rig_close(&rig);
}

Test(txn, bounds_follow_the_collections_collation)
{
    struct rig rig;
    struct kt_id from = kt_test_id("{\"_id\": \"B\"}");
    rig_open(&rig, NULL);
    kt_test_run(&rig.server, "{\"create\": \"docs\", \"collation\": {\"locale\": \"en\", \"strength\": 2}}");
    kt_test_run(&rig.server, "{\"insert\": \"docs\", \"documents\": [{\"_id\": \"a\"}, {\"_id\": \"b\"}, "
                             "{\"_id\": \"C\"}, {\"_id\": \"d\"}]}");
    rig.read.from = &from;
    cr_assert_eq(find(&rig), KT_TXN_OK, "%s", rig.server.err.message);
    cr_assert_eq(rig.count, 3); /* b, C, d: binary order would put b, d first and C before both */
    kt_txn_abort(&rig.lane);
    kt_id_free(&from);
    rig_close(&rig);
}

Test(txn, a_committed_update_is_there_and_an_aborted_one_is_not)
{
    struct rig rig;
    int64_t n;
    rig_open(&rig, "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1, \"a\": 1}]}");
    const char *update =
        "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"a\": 2}}}]}";
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(write_json(&rig, update, &n), KT_TXN_OK, "%s", rig.server.err.message);
    cr_assert_eq(n, 1);
    kt_txn_abort(&rig.lane);
    const char *count = "{\"count\": \"docs\", \"query\": {\"a\": 2}}";
    bson_t *reply = kt_test_command(&rig.server, count);
    bson_iter_t iter;
    cr_assert(bson_iter_init_find(&iter, reply, "n"));
    cr_assert_eq(bson_iter_as_int64(&iter), 0);
    bson_destroy(reply);
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(write_json(&rig, update, &n), KT_TXN_OK);
    cr_assert_eq(kt_txn_commit(&rig.lane, 10000, &rig.server.err), KT_TXN_OK);
    reply = kt_test_command(&rig.server, count);
    cr_assert(bson_iter_init_find(&iter, reply, "n"));
    cr_assert_eq(bson_iter_as_int64(&iter), 1);
    bson_destroy(reply);
    rig_close(&rig);
}

/* The values compare equal in every filter; only the snapshot tells. */
Test(txn, a_change_to_an_equal_value_is_a_conflict)
{
    struct rig rig;
    int64_t n;
    static const char *const equal[] = {"{\"$numberLong\": \"1\"}", "{\"$numberDouble\": \"1.0\"}",
                                        "{\"$numberDecimal\": \"1.00\"}", "[1]"};
    rig_open(&rig, "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1, \"a\": 1}]}");
    for (size_t i = 0; i < sizeof equal / sizeof equal[0]; i++) {
        char other[300];
        cr_assert_eq(find(&rig), KT_TXN_OK);
        snprintf(
            other, sizeof other,
            "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"a\": %s}}}]}",
            equal[i]);
        kt_test_run(&rig.server, other);
        cr_assert_eq(
            write_json(&rig,
                       "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": "
                       "{\"a\": \"sealed\"}}}]}",
                       &n),
            KT_TXN_CONFLICT, "%s", rig.server.err.message);
    }
    rig_close(&rig);
}

Test(txn, a_refused_statement_is_named)
{
    struct rig rig;
    int64_t n;
    rig_open(&rig, NULL);
    kt_test_run(&rig.server, "{\"create\": \"docs\", \"validator\": {\"a\": {\"$type\": \"int\"}}}");
    kt_test_run(&rig.server,
                "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1, \"a\": 1}, {\"_id\": 2, \"a\": 2}]}");
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(
        write_json(&rig,
                   "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"a\": "
                   "5}}}, {\"q\": {\"_id\": 2}, \"u\": {\"$set\": {\"a\": \"secret\"}}}]}",
                   &n),
        KT_TXN_REFUSED);
    char reason[100];
    cr_assert_eq(rig.lane.fault.index, 1);
    cr_assert_eq(rig.lane.fault.code, 121);
    cr_assert_null(strstr(kt_fault_reason(&rig.lane.fault, reason, sizeof reason), "secret"));
    rig_close(&rig);
}

Test(txn, killed_sessions_abort_and_can_begin_again)
{
    struct rig rig;
    int64_t n;
    const char *update =
        "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"a\": 2}}}]}";
    rig_open(&rig, "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1, \"a\": 1}]}");
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(write_json(&rig, update, &n), KT_TXN_OK);
    cr_assert_eq(kt_mongo_kill_sessions(rig.server.mongo, rig.lane.session_id, 1, &rig.server.err), KT_OK,
                 "%s", rig.server.err.message);
    cr_assert_eq(kt_txn_commit(&rig.lane, 10000, &rig.server.err), KT_TXN_AGAIN);
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(write_json(&rig, update, &n), KT_TXN_OK);
    cr_assert_eq(kt_txn_commit(&rig.lane, 10000, &rig.server.err), KT_TXN_OK);
    rig_close(&rig);
}

Test(txn, an_unknown_commit_is_asked_again)
{
    struct rig rig;
    int64_t n;
    rig_open(&rig, "{\"insert\": \"docs\", \"documents\": [{\"_id\": 1, \"a\": 1}]}");
    struct kt_test_server admin = rig.server;
    snprintf(admin.db, sizeof admin.db, "admin");
    cr_assert_eq(find(&rig), KT_TXN_OK);
    cr_assert_eq(
        write_json(&rig,
                   "{\"update\": \"docs\", \"updates\": [{\"q\": {\"_id\": 1}, \"u\": {\"$set\": {\"a\": "
                   "2}}}]}",
                   &n),
        KT_TXN_OK);
    kt_test_run(&admin, "{\"configureFailPoint\": \"failCommand\", \"mode\": {\"times\": 3}, \"data\": "
                        "{\"failCommands\": [\"commitTransaction\"], \"closeConnection\": true}}");
    cr_assert_eq(kt_txn_commit(&rig.lane, 30000, &rig.server.err), KT_TXN_OK, "%s", rig.server.err.message);
    bson_t *reply = kt_test_command(&rig.server, "{\"count\": \"docs\", \"query\": {\"a\": 2}}");
    bson_iter_t iter;
    cr_assert(bson_iter_init_find(&iter, reply, "n"));
    cr_assert_eq(bson_iter_as_int64(&iter), 1);
    bson_destroy(reply);
    rig_close(&rig);
}
