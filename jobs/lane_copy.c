/* SPDX-License-Identifier: Apache-2.0 */
/* One batch of a lane that writes elsewhere: documents are read with read concern majority, processed as
 * those of a file are, and inserted together with the checkpoint in one transaction of the target. A document
 * that fails is inserted as it was, and listed. */
#include "jobs/lane.h"

/* Bytes of one insert command, about. */
#define INSERT_NBYTES ((size_t)8 << 20)

static enum kt_txn_end fail(struct kt_live_lane *lane, enum kt_status status, struct kt_error *err)
{
    const char *said = lane->batch.error.message;
    kt_txn_abort(&lane->session);
    kt_fail(err, status, "%s: %s", lane->ns->ns->name, *said ? said : kt_status_text(status));
    return KT_TXN_FAILED;
}

/* No transaction is open, so keys may be waited for. */
static enum kt_txn_end process(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_job *job = lane->live->job;
    for (;;) {
        bool parked = false;
        kt_lane_await(lane);
        enum kt_status status = job->command->process(job, lane->worker, &lane->batch, &parked);
        if (status == KT_OK && parked) {
            kt_lane_wait_for_keys(lane);
            continue;
        }
        if (status == KT_OK)
            status = kt_lane_note_last_id(lane);
        return status == KT_OK ? KT_TXN_OK : fail(lane, status, err);
    }
}

/* Appends documents from *at on, and says how many; a single one may be larger than the limit. */
static uint32_t append_docs(bson_t *command, struct kt_span docs, size_t *at)
{
    bson_t list, doc;
    uint32_t n = 0;
    size_t begun = *at;
    BSON_APPEND_ARRAY_BEGIN(command, "documents", &list);
    while (*at < docs.nbytes) {
        uint32_t nbytes = kt_load_le32(docs.data + *at);
        char number[16];
        const char *key;
        if (*at > begun && *at + nbytes - begun > INSERT_NBYTES)
            break;
        bson_uint32_to_string(n++, &key, number, sizeof number);
        if (bson_init_static(&doc, docs.data + *at, nbytes))
            BSON_APPEND_DOCUMENT(&list, key, &doc);
        *at += nbytes;
    }
    bson_append_array_end(command, &list);
    return n;
}

static enum kt_txn_end insert(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_span docs = lane->batch.result;
    enum kt_txn_end end = KT_TXN_OK;
    for (size_t at = 0; at < docs.nbytes && end == KT_TXN_OK;) {
        bson_t command = BSON_INITIALIZER;
        BSON_APPEND_UTF8(&command, "insert", lane->ns->coll);
        uint32_t count = append_docs(&command, docs, &at);
        end = kt_txn_write_all(&lane->session, lane->ns->to_db,
                               kt_span_of(bson_get_data(&command), command.len), count, err);
        bson_destroy(&command);
    }
    if (end != KT_TXN_REFUSED)
        return end;
    char text[160];
    kt_fail(err, KT_E_NET, "%s.%s: a document cannot be inserted: %s", lane->ns->to_db, lane->ns->coll,
            kt_fault_reason(&lane->session.fault, text, sizeof text));
    return KT_TXN_FAILED;
}

enum kt_txn_end kt_lane_copy(struct kt_live_lane *lane, struct kt_error *err)
{
    uint32_t count;
    kt_lane_clear(lane);
    enum kt_txn_end end = kt_lane_read(lane, &lane->reader, &count, err);
    if (end != KT_TXN_OK)
        return end;
    lane->ended = count == 0;
    if (!lane->ended)
        end = process(lane, err);
    while (end == KT_TXN_OK) {
        end = kt_txn_begin(&lane->session, err);
        if (end == KT_TXN_OK && !lane->ended)
            end = insert(lane, err);
        if (end == KT_TXN_OK)
            end = kt_lane_commit(lane, err);
        if (end == KT_TXN_OK)
            return kt_lane_settle(lane, err);
        if ((end == KT_TXN_CONFLICT || end == KT_TXN_AGAIN) && !kt_live_ending(lane->live)) {
            kt_lane_rest(lane);
            end = KT_TXN_OK;
        }
    }
    return end;
}
