/* SPDX-License-Identifier: Apache-2.0 */
/* rewrap --all-or-nothing on a server: every wrap is made and proven first, then one transaction writes them
 * all. */
#include "jobs/live_whole.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "jobs/key_commands.h"
#include "jobs/lane.h"
#include "jobs/rewrap.h"

/* Keys of one command, and how often the transaction is tried. */
#define CHUNK 1000
#define TRIES_MAX 50

/* One key with its new wrap: offsets into the bytes of all of them. */
struct whole_key {
    uint8_t id[16];
    size_t old_at, old_nbytes;   /* the key document as it was read */
    size_t made_at, made_nbytes; /* keyMaterial */
    const struct kt_cmk *to;
};

struct whole {
    struct kt_live *live;
    struct kt_live_lane *lane;
    struct kt_buf bytes;
    struct whole_key *keys;
    size_t count, capacity;
};

static enum kt_status keep(struct whole *w, const struct kt_rewrap_key *key)
{
    enum kt_status status = kt_array_reserve(&w->keys, &w->capacity, w->count + 1, sizeof *w->keys);
    if (status != KT_OK)
        return status;
    struct whole_key *own = &w->keys[w->count];
    memcpy(own->id, key->key.id, sizeof own->id);
    own->to = key->to;
    own->old_at = w->bytes.nbytes;
    own->old_nbytes = key->key.doc.nbytes;
    own->made_at = own->old_at + own->old_nbytes;
    own->made_nbytes = key->made.nbytes;
    status = kt_buf_append(&w->bytes, key->key.doc.data, key->key.doc.nbytes);
    if (status == KT_OK)
        status = kt_buf_append(&w->bytes, key->made.data, key->made.nbytes);
    w->count += status == KT_OK;
    return status;
}

static struct kt_span made_of(const struct whole *w, const struct whole_key *key)
{
    return kt_span_of(w->bytes.data + key->made_at, key->made_nbytes);
}

static enum kt_status keep_batch(struct whole *w, struct kt_error *err)
{
    struct kt_live_lane *lane = w->lane;
    enum kt_status status = KT_OK;
    size_t count;
    const struct kt_rewrap_key *keys = kt_rewrap_batch_keys(&lane->batch, &count);
    for (size_t i = 0; i < count && status == KT_OK; i++) {
        if (keys[i].status == KT_OK && keys[i].made.data)
            status = keep(w, &keys[i]);
    }
    if (status == KT_OK)
        status = kt_lane_note_last_id(lane);
    if (status == KT_OK)
        status = kt_id_copy(&lane->range->at, &lane->to);
    const char *said = lane->batch.error.message;
    return status == KT_OK ? KT_OK : kt_fail(err, status, "%s", *said ? said : kt_status_text(status));
}

static enum kt_status count_batch(struct whole *w, struct kt_error *err)
{
    struct kt_live_lane *lane = w->lane;
    struct kt_job *job = w->live->job;
    struct kt_span lines = kt_span_of(lane->batch.failures.data, lane->batch.failures.nbytes);
    kt_lane_count_keys(lane);
    kt_counts_add(&lane->total, &lane->batch.counts);
    pthread_mutex_lock(&w->live->lock);
    enum kt_status status = kt_job_count_batch(job, &lane->batch, err);
    if (status == KT_OK)
        status = kt_failures_put(&job->failures, lane->ns->ns->name, lines, err);
    pthread_mutex_unlock(&w->live->lock);
    atomic_fetch_add(&job->team.documents, lane->batch.counts.keys.read);
    atomic_fetch_add(&job->team.nbytes_done, lane->batch.counts.keys.read);
    return status;
}

/* The next keys. *count 0: there are none. */
static enum kt_status make_some(struct whole *w, uint32_t *count, struct kt_error *err)
{
    struct kt_live_lane *lane = w->lane;
    kt_lane_clear(lane);
    enum kt_txn_end end = kt_lane_read(lane, &lane->reader, count, err);
    if (end == KT_TXN_AGAIN || end == KT_TXN_CONFLICT) {
        *count = 1;
        kt_lane_rest(lane);
        return KT_OK;
    }
    if (end == KT_TXN_OK && *count)
        end = kt_lane_make_wraps(lane, err);
    if (end == KT_TXN_REFUSED)
        return kt_fault_fail(&lane->reader.fault, kt_mongo_name(w->live->mongo), "reading key documents",
                             true, err);
    if (end != KT_TXN_OK || !*count)
        return end == KT_TXN_OK ? KT_OK : err->status;
    lane->tries = 0;
    enum kt_status status = keep_batch(w, err);
    return status == KT_OK ? count_batch(w, err) : status;
}

static enum kt_status stopped(struct kt_error *err)
{
    return kt_fail(err, KT_E_STOPPED, "stopped by request");
}

/* Reads the whole vault and makes every wrap. */
static enum kt_status make_all(struct whole *w, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (uint32_t count = 1; status == KT_OK && count;) {
        if (!kt_live_gate(w->live, (uint32_t)w->lane->batch.docs_count))
            return stopped(err);
        status = make_some(w, &count, err);
        atomic_fetch_sub(&w->live->at_work, 1);
    }
    return status;
}

static enum kt_status back_up(struct whole *w, struct kt_error *err)
{
    struct kt_buf entries = {0};
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < w->count && status == KT_OK; i++) {
        struct kt_key_doc old;
        const struct whole_key *key = &w->keys[i];
        status = kt_key_doc_parse(kt_span_of(w->bytes.data + key->old_at, key->old_nbytes), &old, err);
        if (status == KT_OK && kt_backup_entry(&entries, w->lane->ns->ns->name, &old, made_of(w, key),
                                               kt_cmk_stored(key->to)) != KT_OK)
            status = kt_fail(err, KT_E_NOMEM, "memory ran out");
        if (status == KT_OK && (entries.nbytes > (1u << 20) || i + 1 == w->count)) {
            status = kt_backup_put(&w->live->backup, kt_span_of(entries.data, entries.nbytes), err);
            entries.nbytes = 0;
        }
    }
    kt_buf_free(&entries);
    return status;
}

static enum kt_txn_end read_chunk(struct whole *w, size_t first, size_t end, size_t *nbytes,
                                  struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    uint32_t count;
    for (size_t i = first; i < end; i++)
        kt_key_ids_append(&ids, (uint32_t)(i - first), w->keys[i].id);
    kt_key_find_fill(&command, w->lane->ns->coll, &ids, (uint32_t)(end - first));
    enum kt_txn_end ended =
        kt_txn_fetch(&w->lane->session, w->lane->ns->db, &command, &w->lane->again, nbytes, &count, err);
    bson_destroy(&command);
    bson_destroy(&ids);
    return ended;
}

/* Keys were read in the order of _id, and so come back. */
static bool unchanged(const struct whole *w, size_t first, size_t end, size_t nbytes)
{
    const uint8_t *again = w->lane->again.data;
    size_t at = 0;
    for (size_t i = first; i < end; i++) {
        struct kt_key_doc now, old;
        const struct whole_key *key = &w->keys[i];
        if (at >= nbytes ||
            kt_key_doc_parse(kt_span_of(again + at, kt_load_le32(again + at)), &now, NULL) != KT_OK ||
            kt_key_doc_parse(kt_span_of(w->bytes.data + key->old_at, key->old_nbytes), &old, NULL) != KT_OK ||
            memcmp(now.id, key->id, sizeof key->id) != 0 ||
            !kt_span_equal(now.key_material, old.key_material) ||
            !kt_span_equal(now.master_key, old.master_key))
            return false;
        at += kt_load_le32(again + at);
    }
    return true;
}

static enum kt_txn_end write_chunk(struct whole *w, size_t first, size_t end, bool *same,
                                   struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list;
    size_t nbytes;
    enum kt_txn_end ended = read_chunk(w, first, end, &nbytes, err);
    *same = ended != KT_TXN_OK || unchanged(w, first, end, nbytes);
    if (ended != KT_TXN_OK || !*same)
        return ended;
    BSON_APPEND_UTF8(&command, "update", w->lane->ns->coll);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    for (size_t i = first; i < end; i++)
        kt_key_updates_append(&list, (uint32_t)(i - first), w->keys[i].id, made_of(w, &w->keys[i]),
                              kt_cmk_stored(w->keys[i].to), NULL);
    bson_append_array_end(&command, &list);
    ended = kt_txn_write_all(&w->lane->session, w->lane->ns->db,
                             kt_span_of(bson_get_data(&command), command.len), end - first, err);
    bson_destroy(&command);
    return ended;
}

/* All keys in one transaction. */
static enum kt_txn_end write_all(struct whole *w, bool *same, struct kt_error *err)
{
    struct kt_live_lane *lane = w->lane;
    enum kt_txn_end ended = kt_txn_begin(&lane->session, err);
    *same = true;
    for (size_t first = 0; first < w->count && ended == KT_TXN_OK && *same; first += CHUNK) {
        size_t end = w->count - first < CHUNK ? w->count : first + CHUNK;
        ended = write_chunk(w, first, end, same, err);
    }
    if (ended != KT_TXN_OK || !*same) {
        kt_txn_abort(&lane->session);
        return ended;
    }
    kt_lane_clear(lane);
    lane->ended = w->live->maybe_written = true;
    return kt_lane_commit(lane, err);
}

static enum kt_status judge(struct whole *w, enum kt_txn_end ended, bool same, struct kt_error *err)
{
    struct kt_live_lane *lane = w->lane;
    if (!same)
        return kt_fail(err, KT_E_NET,
                       "%s: another writer changed a key meanwhile, so nothing was written; the same command "
                       "begins anew",
                       lane->ns->ns->name);
    switch (ended) {
    case KT_TXN_OK:
        lane->range->done = true;
        return KT_OK;
    case KT_TXN_CONFLICT:
    case KT_TXN_AGAIN:
        w->live->maybe_written = false;
        kt_lane_rest(lane);
        return KT_OK;
    case KT_TXN_REFUSED:
        return kt_fault_fail(&lane->session.fault, kt_mongo_name(w->live->target), "writing key documents",
                             true, err);
    default:
        return err->status;
    }
}

static enum kt_status make_and_write(struct whole *w, struct kt_error *err)
{
    struct kt_live_lane *lane = w->lane;
    struct kt_id begin = {0};
    enum kt_status status = make_all(w, err);
    /* Its checkpoint moves once, from the beginning to the end. */
    kt_id_free(&lane->range->at);
    lane->range->at = begin;
    if (status == KT_OK)
        status = kt_rewrap_check_doom(w->live->job, err);
    if (status != KT_OK || w->live->job->failed)
        return status;
    status = back_up(w, err);
    for (int tries = 0; status == KT_OK && !lane->range->done; tries++) {
        bool same;
        if (!kt_live_gate(w->live, 0))
            return stopped(err);
        enum kt_txn_end ended = write_all(w, &same, err);
        atomic_fetch_sub(&w->live->at_work, 1);
        status = judge(w, ended, same, err);
        if (status == KT_OK && !lane->range->done && tries == TRIES_MAX)
            status = kt_fault_fail(&lane->session.fault, kt_mongo_name(w->live->target),
                                   "a transaction that fails again and again", true, err);
    }
    return status;
}

void *kt_live_whole_main(void *context)
{
    struct kt_live_lane *lane = context;
    struct whole w = {.live = lane->live, .lane = lane};
    struct kt_error err = {.status = KT_OK};
    lane->ns = &lane->live->namespaces[0];
    lane->range = &lane->ns->ranges[0];
    lane->is_last = true;
    enum kt_status status = lane->range->done ? KT_OK : make_and_write(&w, &err);
    kt_buf_free(&w.bytes);
    free(w.keys);
    kt_lane_over(lane, status, &err);
    return NULL;
}
