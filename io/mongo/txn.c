/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/txn.h"

#include <stdio.h>
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

/* Aborts and says what kind of failure it was: nothing was committed yet, so all that passes is AGAIN. */
static enum kt_txn_end failed(struct kt_lane *lane, const bson_t *reply, const bson_error_t *error,
                              const char *doing, struct kt_error *err)
{
    kt_fault_read(&lane->fault, reply, error);
    note_answer(lane);
    const struct kt_fault *fault = &lane->fault;
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
    if (mongoc_client_session_start_transaction(lane->session, lane->options, &error))
        return KT_TXN_OK;
    return failed(lane, NULL, &error, "beginning a transaction", err);
}

/* {$expr: {$ne: ["$_id", {$literal: X}]}}: as no other filter it takes an _id of any type. */
static void append_not(bson_t *filter, const struct kt_id *id)
{
    bson_t view, expr, pair, literal;
    bson_iter_t value;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "$expr", &expr);
    BSON_APPEND_ARRAY_BEGIN(&expr, "$ne", &pair);
    BSON_APPEND_UTF8(&pair, "0", "$_id");
    BSON_APPEND_DOCUMENT_BEGIN(&pair, "1", &literal);
    if (bson_init_static(&view, id->doc.data, id->doc.nbytes) && bson_iter_init(&value, &view) &&
        bson_iter_next(&value))
        bson_append_iter(&literal, "$literal", -1, &value);
    bson_append_document_end(&pair, &literal);
    bson_append_array_end(&expr, &pair);
    bson_append_document_end(filter, &expr);
}

static void build_find(bson_t *command, const struct kt_range_read *read, bool without_from)
{
    bson_t part;
    BSON_APPEND_UTF8(command, "find", read->coll);
    bson_append_document_begin(command, "filter", -1, &part);
    if (read->max_key)
        BSON_APPEND_MAXKEY(&part, "_id");
    if (without_from)
        append_not(&part, read->from);
    bson_append_document_end(command, &part);
    if (read->projection)
        BSON_APPEND_DOCUMENT(command, "projection", read->projection);
    bson_append_document_begin(command, "hint", -1, &part);
    BSON_APPEND_INT32(&part, "_id", 1);
    bson_append_document_end(command, &part);
    if (!read->max_key) {
        bson_append_document_begin(command, "sort", -1, &part);
        BSON_APPEND_INT32(&part, "_id", 1);
        bson_append_document_end(command, &part);
        if (read->from && kt_id_is_set(read->from))
            kt_id_append_bound(command, "min", read->from);
        if (read->to && kt_id_is_set(read->to))
            kt_id_append_bound(command, "max", read->to);
    }
    /* One more, as `min` has no way to leave out its own value. */
    uint32_t limit = read->limit + read->from_is_done;
    BSON_APPEND_INT32(command, "limit", (int32_t)limit);
    BSON_APPEND_INT32(command, "batchSize", (int32_t)limit);
    BSON_APPEND_BOOL(command, "singleBatch", true);
}

static bool is_done_already(const struct kt_range_read *read, const uint8_t *doc, uint32_t nbytes)
{
    struct kt_id id = {0};
    bool same = read->from_is_done && kt_id_of_doc(&id, doc, nbytes) == KT_OK && kt_id_equal(&id, read->from);
    kt_id_free(&id);
    return same;
}

/* What a find gave. */
struct taken {
    size_t nbytes;
    uint32_t count;
    bool passed_over; /* the document that is done already */
};

static enum kt_status take_docs(const bson_t *reply, const struct kt_range_read *read, struct kt_region *into,
                                struct taken *taken)
{
    bson_iter_t cursor, list, item;
    uint32_t list_nbytes;
    const uint8_t *list_data;
    if (!bson_iter_init(&item, reply) || !bson_iter_find_descendant(&item, "cursor.firstBatch", &cursor) ||
        !BSON_ITER_HOLDS_ARRAY(&cursor) || !bson_iter_recurse(&cursor, &list))
        return KT_E_FORMAT;
    bson_iter_array(&cursor, &list_nbytes, &list_data);
    enum kt_status status = kt_region_reserve(into, list_nbytes);
    for (bool first = true; status == KT_OK && bson_iter_next(&list); first = false) {
        uint32_t nbytes;
        const uint8_t *doc;
        if (!BSON_ITER_HOLDS_DOCUMENT(&list))
            return KT_E_FORMAT;
        bson_iter_document(&list, &nbytes, &doc);
        if (first && is_done_already(read, doc, nbytes))
            taken->passed_over = true;
        else if (taken->count < read->limit) {
            memcpy(into->data + taken->nbytes, doc, nbytes);
            taken->nbytes += nbytes;
            taken->count++;
        }
    }
    return status;
}

static enum kt_txn_end fetch(struct kt_lane *lane, const char *db, const bson_t *command,
                             const struct kt_range_read *read, struct kt_region *into, struct taken *taken,
                             struct kt_error *err)
{
    bson_t reply;
    bson_error_t error = {0};
    enum kt_txn_end end = KT_TXN_OK;
    *taken = (struct taken){0};
    if (!mongoc_client_read_command_with_opts(lane->client, db, command, NULL, &lane->opts, &reply, &error))
        end = failed(lane, &reply, &error, "reading documents", err);
    else {
        lane->silent_since_ns = 0;
        enum kt_status status = take_docs(&reply, read, into, taken);
        if (status != KT_OK) {
            kt_txn_abort(lane);
            kt_fail(err, status, "%s: reading documents of %s: %s", kt_mongo_name(lane->mongo), db,
                    status == KT_E_NOMEM ? "memory ran out" : "the reply holds none");
            end = KT_TXN_FAILED;
        }
    }
    bson_destroy(&reply);
    return end;
}

enum kt_txn_end kt_txn_find(struct kt_lane *lane, const struct kt_range_read *read, struct kt_region *into,
                            size_t *nbytes, uint32_t *count, struct kt_error *err)
{
    enum kt_txn_end end = KT_TXN_OK;
    struct taken taken = {.passed_over = true};
    /* A reply ends at 16 MiB: beside the document that is done the next one may have found no room. Only a
     * reply without any document is the end. */
    for (int round = 0; round < 2 && end == KT_TXN_OK && taken.passed_over && taken.count == 0; round++) {
        bson_t command = BSON_INITIALIZER;
        build_find(&command, read, round > 0);
        end = fetch(lane, read->db, &command, read, into, &taken, err);
        bson_destroy(&command);
    }
    *nbytes = taken.nbytes;
    *count = taken.count;
    return end;
}

enum kt_txn_end kt_txn_fetch(struct kt_lane *lane, const char *db, const bson_t *command,
                             struct kt_region *into, size_t *nbytes, uint32_t *count, struct kt_error *err)
{
    const struct kt_range_read all = {.limit = UINT32_MAX};
    struct taken taken;
    enum kt_txn_end end = fetch(lane, db, command, &all, into, &taken, err);
    *nbytes = taken.nbytes;
    *count = taken.count;
    return end;
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
    enum kt_txn_end end = KT_TXN_OK;
    if (!ok || bson_has_field(&reply, "writeErrors"))
        end = failed(lane, &reply, ok ? NULL : &error, "writing documents", err);
    else if (bson_iter_init_find(&iter, &reply, "n"))
        *matched = bson_iter_as_int64(&iter);
    if (end == KT_TXN_OK)
        lane->silent_since_ns = 0;
    bson_destroy(&reply);
    return end;
}

static enum kt_txn_end judge_commit(struct kt_lane *lane, const bson_t *reply, const bson_error_t *error,
                                    struct kt_error *err)
{
    kt_fault_read(&lane->fault, reply, error);
    note_answer(lane);
    const struct kt_fault *fault = &lane->fault;
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
        end = ok ? KT_TXN_OK : judge_commit(lane, &reply, &error, err);
        bson_destroy(&reply);
        bool lost = end == KT_TXN_UNKNOWN && lane->fault.code == KT_CODE_NO_SUCH_TRANSACTION;
        if (end != KT_TXN_UNKNOWN || lost || lane->fault.away || kt_clock_ns() >= until)
            break;
        nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_NS}, NULL);
    }
    if (end == KT_TXN_OK)
        lane->silent_since_ns = 0;
    if (end == KT_TXN_UNKNOWN)
        kt_fault_fail(&lane->fault, kt_mongo_name(lane->mongo), "committing a transaction", true, err);
    return end;
}
