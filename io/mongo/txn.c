/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/txn_private.h"

#include <string.h>
#include <time.h>

#include "common/clock.h"

/* Between two questions about a commit whose outcome is unknown. */
#define ASK_AGAIN_NS 100000000L

static enum kt_status name_session(struct kt_lane *lane, struct kt_error *err)
{
    bson_error_t error = {0};
    bson_iter_t iter;
    bson_subtype_t subtype;
    uint32_t nbytes = 0;
    const uint8_t *id = NULL;
    const bson_t *lsid = mongoc_client_session_get_lsid(lane->session);
    if (lsid && bson_iter_init_find(&iter, lsid, "id") && BSON_ITER_HOLDS_BINARY(&iter))
        bson_iter_binary(&iter, &subtype, &nbytes, &id);
    if (nbytes != sizeof lane->session_id ||
        !mongoc_client_session_append(lane->session, &lane->opts, &error))
        return kt_fail(err, KT_E_INTERNAL, "the driver gives a session without an id");
    memcpy(lane->session_id, id, nbytes);
    return KT_OK;
}

static enum kt_status open_session(struct kt_lane *lane, struct kt_error *err)
{
    bson_error_t error = {0};
    lane->session = mongoc_client_start_session(lane->client, NULL, &error);
    if (!lane->session) {
        kt_fault_read(&lane->fault, NULL, &error);
        return kt_fault_fail(&lane->fault, kt_mongo_name(lane->mongo), "opening a session", false, err);
    }
    lane->options = mongoc_transaction_opts_new();
    mongoc_read_concern_t *snapshot = mongoc_read_concern_new();
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_read_concern_set_level(snapshot, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
    mongoc_write_concern_set_wmajority(majority, 0);
    mongoc_transaction_opts_set_read_concern(lane->options, snapshot);
    mongoc_transaction_opts_set_write_concern(lane->options, majority);
    mongoc_transaction_opts_set_read_prefs(lane->options, primary);
    mongoc_read_concern_destroy(snapshot);
    mongoc_write_concern_destroy(majority);
    mongoc_read_prefs_destroy(primary);
    return name_session(lane, err);
}

enum kt_status kt_lane_open(struct kt_lane *lane, struct kt_mongo *mongo, bool reads_only,
                            struct kt_error *err)
{
    *lane = (struct kt_lane){.mongo = mongo, .reads_only = reads_only};
    bson_init(&lane->opts);
    lane->client = kt_mongo_borrow(mongo);
    if (!lane->client)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (!reads_only)
        return open_session(lane, err);
    bson_t concern;
    bson_append_document_begin(&lane->opts, "readConcern", -1, &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    bson_append_document_end(&lane->opts, &concern);
    return KT_OK;
}

void kt_lane_close(struct kt_lane *lane)
{
    if (!lane->client)
        return;
    if (lane->session)
        mongoc_client_session_destroy(lane->session);
    if (lane->options)
        mongoc_transaction_opts_destroy(lane->options);
    kt_mongo_give_back(lane->mongo, lane->client);
    bson_destroy(&lane->opts);
    *lane = (struct kt_lane){0};
}

void kt_txn_abort(struct kt_lane *lane)
{
    if (lane->session && mongoc_client_session_in_transaction(lane->session))
        (void)!mongoc_client_session_abort_transaction(lane->session, NULL);
}

/* Notes that the server answers, or for how long it has not. */
static void note_answer(struct kt_lane *lane)
{
    struct kt_fault *fault = &lane->fault;
    uint64_t now = kt_clock_ns();
    if (!fault->network)
        lane->silent_since_ns = 0;
    else if (!lane->silent_since_ns)
        lane->silent_since_ns = now;
    fault->away = fault->network && (kt_mongo_is_given_up(lane->mongo) ||
                                     now - lane->silent_since_ns >= kt_mongo_patience_ns(lane->mongo));
}

enum kt_txn_end kt_txn_judge(struct kt_lane *lane, bool ok, const bson_t *reply, const bson_error_t *error,
                             const char *doing, struct kt_error *err)
{
    ok = kt_fault_none(&lane->fault, ok, reply, error);
    note_answer(lane);
    const struct kt_fault *fault = &lane->fault;
    if (ok)
        return KT_TXN_OK;
    kt_txn_abort(lane);
    if (fault->code == KT_CODE_WRITE_CONFLICT)
        return KT_TXN_CONFLICT;
    if (fault->index >= 0)
        return KT_TXN_REFUSED;
    if (!fault->away && (fault->transient || fault->passing))
        return KT_TXN_AGAIN;
    kt_fault_fail(fault, kt_mongo_name(lane->mongo), doing, true, err);
    return KT_TXN_FAILED;
}

enum kt_txn_end kt_txn_begin(struct kt_lane *lane, struct kt_error *err)
{
    bson_error_t error = {0};
    if (lane->reads_only)
        return KT_TXN_OK;
    /* The server hears of it with the first command only. */
    if (mongoc_client_session_start_transaction(lane->session, lane->options, &error))
        return KT_TXN_OK;
    return kt_txn_judge(lane, false, NULL, &error, "beginning a transaction", err);
}

enum kt_txn_end kt_txn_write(struct kt_lane *lane, const char *db, struct kt_span command, int64_t *matched,
                             struct kt_error *err)
{
    bson_t view, reply;
    bson_error_t error = {0};
    bson_iter_t iter;
    *matched = 0;
    if (!bson_init_static(&view, command.data, command.nbytes)) {
        kt_txn_abort(lane);
        kt_fail(err, KT_E_INTERNAL, "a write command is no BSON");
        return KT_TXN_FAILED;
    }
    bool ok = mongoc_client_write_command_with_opts(lane->client, db, &view, &lane->opts, &reply, &error);
    enum kt_txn_end end = kt_txn_judge(lane, ok, &reply, &error, "writing documents", err);
    if (end == KT_TXN_OK && bson_iter_init_find(&iter, &reply, "n"))
        *matched = bson_iter_as_int64(&iter);
    bson_destroy(&reply);
    return end;
}

enum kt_txn_end kt_txn_write_all(struct kt_lane *lane, const char *db, struct kt_span command, size_t count,
                                 struct kt_error *err)
{
    int64_t n;
    bson_t view;
    bson_iter_t iter;
    enum kt_txn_end end = kt_txn_write(lane, db, command, &n, err);
    if (end != KT_TXN_OK || (n >= 0 && (uint64_t)n == count))
        return end;
    kt_txn_abort(lane);
    const char *coll = bson_init_static(&view, command.data, command.nbytes) &&
                               bson_iter_init(&iter, &view) && bson_iter_next(&iter)
                           ? bson_iter_utf8(&iter, NULL)
                           : NULL;
    kt_fail(err, KT_E_NET, "%s: writing to %s.%s: the server says that it wrote %lld of %zu documents",
            kt_mongo_name(lane->mongo), db, coll ? coll : "?", (long long)n, count);
    return KT_TXN_FAILED;
}

static enum kt_txn_end judge_commit(struct kt_lane *lane, bool ok, const bson_t *reply,
                                    const bson_error_t *error, struct kt_error *err)
{
    ok = kt_fault_none(&lane->fault, ok, reply, error);
    note_answer(lane);
    const struct kt_fault *fault = &lane->fault;
    if (ok)
        return KT_TXN_OK;
    if (fault->unknown || (fault->network && !fault->transient))
        return KT_TXN_UNKNOWN;
    if (fault->code == KT_CODE_WRITE_CONFLICT)
        return KT_TXN_CONFLICT;
    if (fault->transient)
        return KT_TXN_AGAIN;
    /* Without the label "no such transaction" says nothing: it may have been committed and forgotten. */
    if (fault->code == KT_CODE_NO_SUCH_TRANSACTION)
        return KT_TXN_UNKNOWN;
    kt_fault_fail(fault, kt_mongo_name(lane->mongo), "committing a transaction", true, err);
    return KT_TXN_FAILED;
}

enum kt_txn_end kt_txn_commit(struct kt_lane *lane, uint64_t patience_ms, struct kt_error *err)
{
    uint64_t until = kt_clock_ns() + patience_ms * 1000000;
    enum kt_txn_end end = KT_TXN_OK;
    if (lane->reads_only)
        return KT_TXN_OK;
    for (;;) {
        bson_error_t error = {0};
        bson_t reply;
        bool ok = mongoc_client_session_commit_transaction(lane->session, &reply, &error);
        end = judge_commit(lane, ok, &reply, &error, err);
        bson_destroy(&reply);
        bool lost = end == KT_TXN_UNKNOWN && lane->fault.code == KT_CODE_NO_SUCH_TRANSACTION;
        if (end != KT_TXN_UNKNOWN || lost || lane->fault.away || kt_clock_ns() >= until)
            break;
        nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_NS}, NULL);
    }
    if (end == KT_TXN_UNKNOWN)
        kt_fault_fail(&lane->fault, kt_mongo_name(lane->mongo), "committing a transaction", true, err);
    return end;
}
