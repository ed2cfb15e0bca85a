/* SPDX-License-Identifier: Apache-2.0 */
/* One batch of keys of a lane. The KMS is asked while no transaction is open; then the backup is made
 * durable; then a short transaction reads the key documents again, and changes only those that are what was
 * read, byte for byte. */
#include <stdlib.h>

#include "jobs/backup.h"
#include "jobs/key_commands.h"
#include "jobs/lane.h"
#include "jobs/rewrap.h"

/* Keys that may have come between those of the batch since it was read. */
#define MORE_KEYS 64

static enum kt_txn_end fail(struct kt_live_lane *lane, enum kt_status status, struct kt_error *err)
{
    const char *said = lane->batch.error.message;
    kt_txn_abort(&lane->session);
    kt_fail(err, status, "%s: %s", lane->ns->ns->name, *said ? said : kt_status_text(status));
    return KT_TXN_FAILED;
}

/* Opens, wraps and proves the batch's keys; waits for the KMS as long as it takes. */
enum kt_txn_end kt_lane_make_wraps(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_job_batch *batch = &lane->batch;
    for (;;) {
        bool parked = false;
        lane->ready = false;
        kt_lane_await(lane);
        enum kt_status status = kt_rewrap_batch_advance(lane->live->job, lane->worker, batch, &parked);
        if (status != KT_OK)
            return fail(lane, status, err);
        if (!parked)
            return KT_TXN_OK;
        kt_lane_wait_for_keys(lane);
        if (kt_live_ending(lane->live)) {
            kt_fail(err, KT_E_STOPPED, "stopped by request");
            return KT_TXN_FAILED;
        }
    }
}

/* Of the batch in hand: an empty one has none, whatever the one before it left. */
static const struct kt_rewrap_key *keys_of(const struct kt_live_lane *lane, size_t *count)
{
    const struct kt_rewrap_key *keys = kt_rewrap_batch_keys(&lane->batch, count);
    if (lane->batch.docs_count == 0)
        *count = 0;
    return keys;
}

static struct kt_span target_of(const struct kt_rewrap_key *key)
{
    return kt_cmk_stored(key->to);
}

static enum kt_status back_up(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_live *live = lane->live;
    struct kt_buf entries = {0};
    size_t count;
    const struct kt_rewrap_key *keys = keys_of(lane, &count);
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < count && status == KT_OK; i++) {
        if (keys[i].status == KT_OK)
            status = kt_backup_entry(&entries, lane->ns->ns->name, &keys[i].key, keys[i].made,
                                     target_of(&keys[i]));
    }
    if (status != KT_OK)
        kt_fail(err, status, "memory ran out");
    else if (entries.nbytes) {
        pthread_mutex_lock(&live->backup_lock);
        status = kt_backup_put(&live->backup, kt_span_of(entries.data, entries.nbytes), err);
        pthread_mutex_unlock(&live->backup_lock);
    }
    kt_buf_free(&entries);
    return status;
}

/* The document of that _id among those read again; both stand in the index's order. */
static bool find_again(const struct kt_region *again, size_t nbytes, const uint8_t *id, size_t *at,
                       struct kt_key_doc *key)
{
    for (; *at < nbytes; *at += kt_load_le32(again->data + *at)) {
        struct kt_span doc = kt_span_of(again->data + *at, kt_load_le32(again->data + *at));
        if (kt_key_doc_parse(doc, key, NULL) == KT_OK && memcmp(key->id, id, 16) == 0)
            return true;
    }
    return false;
}

/* Whether every key that has a new wrap still is what it was made from. */
static bool unchanged(const struct kt_live_lane *lane, size_t nbytes)
{
    size_t count, at = 0;
    const struct kt_rewrap_key *keys = keys_of(lane, &count);
    for (size_t i = 0; i < count; i++) {
        struct kt_key_doc now;
        if (keys[i].status != KT_OK)
            continue;
        if (!find_again(&lane->again, nbytes, keys[i].key.id, &at, &now) ||
            !kt_span_equal(now.key_material, keys[i].key.key_material) ||
            !kt_span_equal(now.master_key, keys[i].key.master_key))
            return false;
    }
    return true;
}

static enum kt_txn_end read_again(struct kt_live_lane *lane, bool *same, struct kt_error *err)
{
    const struct kt_state_range *range = lane->range;
    struct kt_range_read read = kt_lane_range(lane);
    size_t nbytes;
    uint32_t count;
    read.limit = (uint32_t)lane->batch.docs_count + MORE_KEYS;
    read.from_is_done = kt_id_is_set(&range->at);
    enum kt_txn_end end = kt_txn_find(&lane->session, &read, &lane->again, &nbytes, &count, err);
    *same = end == KT_TXN_OK && unchanged(lane, nbytes);
    return end;
}

static enum kt_txn_end update_keys(struct kt_live_lane *lane, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list;
    size_t count;
    uint32_t n = 0;
    const struct kt_rewrap_key *keys = keys_of(lane, &count);
    BSON_APPEND_UTF8(&command, "update", lane->ns->coll);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].status == KT_OK)
            kt_key_updates_append(&list, n++, keys[i].key.id, keys[i].made, target_of(&keys[i]), NULL);
    }
    bson_append_array_end(&command, &list);
    enum kt_txn_end end = KT_TXN_OK;
    if (n)
        end = kt_txn_write_all(&lane->session, lane->ns->db, kt_span_of(bson_get_data(&command), command.len),
                               n, err);
    bson_destroy(&command);
    if (end == KT_TXN_REFUSED) {
        kt_fault_fail(&lane->session.fault, kt_mongo_name(lane->live->mongo), "writing key documents", true,
                      err);
        return KT_TXN_FAILED;
    }
    return end;
}

/* One try. *same false: another writer changed a key; everything is made anew from a fresh read. */
static enum kt_txn_end write_keys(struct kt_live_lane *lane, bool *same, struct kt_error *err)
{
    enum kt_txn_end end = kt_txn_begin(&lane->session, err);
    *same = true;
    if (end == KT_TXN_OK && lane->batch.docs_count)
        end = read_again(lane, same, err);
    if (end != KT_TXN_OK)
        return end;
    if (!*same) {
        kt_txn_abort(&lane->session);
        return KT_TXN_CONFLICT;
    }
    end = update_keys(lane, err);
    return end == KT_TXN_OK ? kt_lane_commit(lane, err) : end;
}

void kt_lane_count_keys(struct kt_live_lane *lane)
{
    size_t count;
    const struct kt_rewrap_key *keys = keys_of(lane, &count);
    for (size_t i = 0; i < count; i++)
        lane->batch.counts.keys.rewrapped +=
            keys[i].status == KT_OK && (keys[i].made.data || lane->live->reads_only);
}

enum kt_txn_end kt_lane_rewrap(struct kt_live_lane *lane, struct kt_error *err)
{
    uint32_t count;
    kt_lane_clear(lane);
    enum kt_txn_end end = kt_lane_read(lane, &lane->reader, &count, err);
    if (end != KT_TXN_OK)
        return end;
    lane->ended = count == 0;
    if (!lane->ended) {
        end = kt_lane_make_wraps(lane, err);
        enum kt_status status = end == KT_TXN_OK ? kt_lane_note_last_id(lane) : KT_OK;
        if (status != KT_OK)
            end = fail(lane, status, err);
        kt_lane_count_keys(lane);
    }
    if (end != KT_TXN_OK || lane->live->reads_only)
        return end == KT_TXN_OK ? kt_lane_settle(lane, err) : end;
    if (back_up(lane, err) != KT_OK)
        return KT_TXN_FAILED;
    /* The wraps stay good as long as their keys are what they were: only the transaction is made again. */
    bool same = true;
    do {
        end = write_keys(lane, &same, err);
        if (end == KT_TXN_CONFLICT || end == KT_TXN_AGAIN)
            kt_lane_rest(lane);
    } while (same && (end == KT_TXN_CONFLICT || end == KT_TXN_AGAIN) && !kt_live_ending(lane->live));
    return end == KT_TXN_OK ? kt_lane_settle(lane, err) : end;
}
