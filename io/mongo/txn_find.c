/* SPDX-License-Identifier: Apache-2.0 */
/* What a transaction reads. */
#include <string.h>

#include "io/mongo/reply.h"
#include "io/mongo/txn_private.h"

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

static void append_filter(bson_t *command, const struct kt_range_read *read, bool without_from)
{
    bson_t filter, both;
    bson_append_document_begin(command, "filter", -1, &filter);
    if (read->max_key)
        BSON_APPEND_MAXKEY(&filter, "_id");
    if (without_from)
        append_not(&filter, read->from);
    if (read->query) {
        /* It may name _id and $expr too. */
        BSON_APPEND_ARRAY_BEGIN(&filter, "$and", &both);
        BSON_APPEND_DOCUMENT(&both, "0", read->query);
        bson_append_array_end(&filter, &both);
    }
    bson_append_document_end(command, &filter);
}

static void build_find(bson_t *command, const struct kt_range_read *read, bool without_from)
{
    bson_t part;
    BSON_APPEND_UTF8(command, "find", read->coll);
    append_filter(command, read, without_from);
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
    struct kt_reply_batch batch;
    bson_t doc;
    if (!kt_reply_batch_open(&batch, reply))
        return KT_E_NET;
    enum kt_status status = kt_region_reserve(into, batch.nbytes);
    for (bool first = true; status == KT_OK && kt_reply_batch_next(&batch, &doc); first = false) {
        const uint8_t *data = bson_get_data(&doc);
        if (first && is_done_already(read, data, doc.len))
            taken->passed_over = true;
        else if (taken->count < read->limit) {
            memcpy(into->data + taken->nbytes, data, doc.len);
            taken->nbytes += doc.len;
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
    *taken = (struct taken){0};
    bool ok =
        mongoc_client_read_command_with_opts(lane->client, db, command, NULL, &lane->opts, &reply, &error);
    enum kt_txn_end end = kt_txn_judge(lane, ok, &reply, &error, "reading documents", err);
    enum kt_status status = end == KT_TXN_OK ? take_docs(&reply, read, into, taken) : KT_OK;
    if (status != KT_OK) {
        kt_txn_abort(lane);
        kt_fail(err, status, "%s: reading documents of %s: %s", kt_mongo_name(lane->mongo), db,
                status == KT_E_NOMEM ? "memory ran out"
                                     : "the reply cannot be read: its batch of documents is broken");
        end = KT_TXN_FAILED;
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
