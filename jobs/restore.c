/* SPDX-License-Identifier: Apache-2.0 */
#include "keyturn/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/region.h"
#include "csfle/key_doc.h"
#include "io/mongo/guard.h"
#include "io/mongo/lease.h"
#include "io/mongo/state.h"
#include "jobs/key_commands.h"
#include "jobs/restore_file.h"
#include "keys/key_text.h"

/* Keys of one transaction. */
#define CHUNK 500
#define CLIENTS 4
#define TRIES_MAX 300

enum fate { FATE_MISSING, FATE_CHANGED, FATE_ALREADY, FATE_RESTORED };

struct restore {
    const struct kt_restore_options *options;
    struct kt_restore_result *result;
    struct kt_restore_file file;
    struct kt_mongo *mongo;
    struct kt_lane lane;
    struct kt_region docs;
    struct kt_owner owner;
    struct kt_lease_name lease;
    bool leased;
};

/* The entries of one chunk of keys: [first, *end). */
static size_t chunk_end(const struct restore *r, size_t first)
{
    size_t end = first, keys = 0;
    while (end < r->file.entries_count) {
        bool next = end == first || memcmp(r->file.entries[end].id, r->file.entries[end - 1].id, 16) != 0;
        if (next && keys++ == CHUNK)
            break;
        end++;
    }
    return end;
}

static enum kt_txn_end read_keys(struct restore *r, size_t first, size_t end, const char *db,
                                 const char *coll, size_t *nbytes, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, ids = BSON_INITIALIZER;
    uint32_t n = 0, count;
    for (size_t i = first; i < end; i++) {
        if (i == first || memcmp(r->file.entries[i].id, r->file.entries[i - 1].id, 16) != 0)
            kt_key_ids_append(&ids, n++, r->file.entries[i].id);
    }
    kt_key_find_fill(&command, coll, &ids, n);
    enum kt_txn_end ended = kt_txn_fetch(&r->lane, db, &command, &r->docs, nbytes, &count, err);
    bson_destroy(&command);
    bson_destroy(&ids);
    return ended;
}

static bool find_key(const struct restore *r, size_t nbytes, const uint8_t *id, struct kt_key_doc *key)
{
    for (size_t at = 0; at < nbytes; at += kt_load_le32(r->docs.data + at)) {
        struct kt_span doc = kt_span_of(r->docs.data + at, kt_load_le32(r->docs.data + at));
        if (kt_key_doc_parse(doc, key, NULL) == KT_OK && memcmp(key->id, id, 16) == 0)
            return true;
    }
    return false;
}

/* Of the entries of one key: which of them the vault holds the new wrap of. */
static enum fate judge(const struct restore *r, size_t first, size_t end, size_t nbytes, size_t *which)
{
    struct kt_key_doc now;
    enum fate fate = FATE_CHANGED;
    if (!find_key(r, nbytes, r->file.entries[first].id, &now))
        return FATE_MISSING;
    for (size_t i = end; i-- > first;) {
        const struct kt_restore_entry *entry = &r->file.entries[i];
        if (kt_span_equal(now.key_material, entry->material) &&
            kt_span_equal(now.master_key, entry->master_key)) {
            *which = i;
            return FATE_RESTORED;
        }
        if (kt_span_equal(now.key_material, entry->old.key_material) &&
            kt_span_equal(now.master_key, entry->old.master_key))
            fate = FATE_ALREADY;
    }
    return fate;
}

static void append_update(bson_t *list, uint32_t n, const struct kt_restore_entry *entry)
{
    kt_key_updates_append(list, n, entry->id, entry->old.key_material, entry->old.master_key,
                          &entry->old.update_ms);
}

static void tell(const struct restore *r, const uint8_t *id, enum fate fate)
{
    char text[KT_UUID_TEXT_NBYTES];
    kt_uuid_text(id, text);
    if (fate == FATE_MISSING)
        kt_log(r->options->log, KT_LOG_WARN, "%s: DEK %s is not there any more", r->file.ns, text);
    if (fate == FATE_CHANGED)
        kt_log(r->options->log, KT_LOG_WARN, "%s: DEK %s was wrapped anew since: left as it is", r->file.ns,
               text);
}

/* Decides about the chunk's keys and appends their updates; figures go to `sum`. */
static uint32_t decide(struct restore *r, size_t first, size_t end, size_t nbytes, bson_t *list,
                       struct kt_restore_result *sum, bool say)
{
    uint32_t updates = 0;
    *sum = (struct kt_restore_result){0};
    for (size_t i = first, next; i < end; i = next) {
        size_t which = i;
        for (next = i + 1; next < end && memcmp(r->file.entries[next].id, r->file.entries[i].id, 16) == 0;
             next++)
            ;
        enum fate fate = judge(r, i, next, nbytes, &which);
        if (fate == FATE_RESTORED)
            append_update(list, updates++, &r->file.entries[which]);
        sum->keys++;
        sum->restored += fate == FATE_RESTORED;
        sum->already += fate == FATE_ALREADY;
        sum->changed += fate == FATE_CHANGED;
        sum->missing += fate == FATE_MISSING;
        if (say)
            tell(r, r->file.entries[i].id, fate);
    }
    return updates;
}

static enum kt_txn_end try_chunk(struct restore *r, size_t first, size_t end, struct kt_restore_result *sum,
                                 struct kt_error *err)
{
    char db[64];
    const char *coll;
    size_t nbytes;
    if (!kt_ns_split(r->file.ns, db, &coll)) {
        kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", r->file.ns);
        return KT_TXN_FAILED;
    }
    enum kt_txn_end ended = kt_txn_begin(&r->lane, err);
    if (ended == KT_TXN_OK)
        ended = read_keys(r, first, end, db, coll, &nbytes, err);
    if (ended != KT_TXN_OK)
        return ended;
    bson_t command = BSON_INITIALIZER, list;
    BSON_APPEND_UTF8(&command, "update", coll);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    uint32_t updates = decide(r, first, end, nbytes, &list, sum, false);
    bson_append_array_end(&command, &list);
    if (updates && !r->options->dry_run)
        ended =
            kt_txn_write_all(&r->lane, db, kt_span_of(bson_get_data(&command), command.len), updates, err);
    bson_destroy(&command);
    if (ended == KT_TXN_OK && updates && !r->options->dry_run)
        ended = kt_txn_commit(&r->lane, 120000, err);
    else
        kt_txn_abort(&r->lane);
    if (ended == KT_TXN_OK) {
        bson_t unused = BSON_INITIALIZER;
        struct kt_restore_result same;
        decide(r, first, end, nbytes, &unused, &same, true);
        bson_destroy(&unused);
    }
    return ended;
}

static enum kt_status do_chunk(struct restore *r, size_t first, size_t end, struct kt_error *err)
{
    struct kt_restore_result sum = {0};
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        switch (try_chunk(r, first, end, &sum, err)) {
        case KT_TXN_OK:
            r->result->keys += sum.keys;
            r->result->restored += sum.restored;
            r->result->already += sum.already;
            r->result->changed += sum.changed;
            r->result->missing += sum.missing;
            return KT_OK;
        case KT_TXN_CONFLICT:
        case KT_TXN_AGAIN:
            break;
        case KT_TXN_REFUSED:
            return kt_fault_fail(&r->lane.fault, kt_mongo_name(r->mongo), "writing key documents", true, err);
        default:
            return err->status;
        }
        nanosleep(&(struct timespec){.tv_nsec = tries < 50 ? 1000000L * tries : 100000000L}, NULL);
    }
    return kt_fault_fail(&r->lane.fault, kt_mongo_name(r->mongo), "a transaction that fails again and again",
                         true, err);
}

/* A rewrap that goes on later would pass over what is undone here. */
static enum kt_status no_rewrap_under_way(struct restore *r, struct kt_error *err)
{
    struct kt_state_job job = {.state_db = r->lease.state_db, .ns = r->file.ns};
    bool found;
    enum kt_status status = kt_state_job_read(r->mongo, &job, &found, err);
    kt_state_job_free(&job);
    if (found && r->options->forget)
        return kt_state_forget(r->mongo, r->lease.state_db, r->file.ns, err);
    if (status != KT_OK || !found)
        return status;
    return kt_fail(err, KT_E_OTHER_JOB,
                   "%s: an unfinished %s is on it; finish it first, or drop its state with --forget",
                   r->file.ns, job.command);
}

static enum kt_status open_all(struct restore *r, struct kt_error *err)
{
    const struct kt_restore_options *o = r->options;
    if (!kt_mongo_is_uri(o->key_vault))
        return kt_fail(err, KT_E_USAGE,
                       "--key-vault: restore puts keys back on a server (mongodb://...); a rewrap of a "
                       "file has left its input as it was");
    if (o->key_vault_namespace)
        snprintf(r->file.ns, sizeof r->file.ns, "%s", o->key_vault_namespace);
    r->file.name = o->file;
    enum kt_status status = kt_restore_file_read(&r->file, o->log, err);
    if (status == KT_OK)
        status = kt_mongo_open(&r->mongo, o->key_vault, "--key-vault", CLIENTS, o->log, err);
    if (status == KT_OK && kt_mongo_topology(r->mongo) == KT_STANDALONE)
        status = kt_fail(err, KT_E_USAGE, "%s is a standalone server, which has no transactions",
                         kt_mongo_name(r->mongo));
    if (status == KT_OK)
        status = kt_lane_open(&r->lane, r->mongo, false, err);
    return status;
}

static enum kt_status take_lease(struct restore *r, struct kt_error *err)
{
    const struct kt_restore_options *o = r->options;
    r->lease = (struct kt_lease_name){.state_db = o->checkpoint ? o->checkpoint : KT_STATE_DB,
                                      .ns = r->file.ns,
                                      .command = "restore",
                                      .job = "restore"};
    if (o->dry_run)
        return KT_OK;
    enum kt_status status = kt_owner_self(&r->owner, err);
    if (status == KT_OK)
        status = kt_guard_tell(o->guard_fd > 0 ? o->guard_fd : -1, r->mongo, r->lane.session_id, 1, err);
    if (status == KT_OK)
        status = kt_state_create(r->mongo, r->lease.state_db, err);
    if (status == KT_OK)
        status = kt_lease_take(r->mongo, &r->lease, &r->owner, r->lane.session_id, 1, NULL, NULL, err);
    r->leased = status == KT_OK;
    return status == KT_OK ? no_rewrap_under_way(r, err) : status;
}

enum kt_status kt_restore_run(const struct kt_restore_options *options, struct kt_restore_result *result,
                              struct kt_error *err)
{
    struct restore r = {.options = options, .result = result};
    *result = (struct kt_restore_result){0};
    enum kt_status status = open_all(&r, err);
    if (status == KT_OK && r.file.entries_count)
        status = take_lease(&r, err);
    for (size_t first = 0, end; first < r.file.entries_count && status == KT_OK; first = end) {
        end = chunk_end(&r, first);
        status = do_chunk(&r, first, end, err);
        if (status == KT_OK && r.leased)
            status = kt_lease_renew(r.mongo, &r.lease, &r.owner, err);
    }
    if (r.leased)
        (void)!kt_lease_release(r.mongo, &r.lease, &r.owner, NULL);
    /* After a failure a commit or an abort may have had no answer: else the guard ends it. */
    if (status == KT_OK || !r.leased || kt_mongo_kill_sessions(r.mongo, r.lane.session_id, 1, NULL) == KT_OK)
        kt_guard_dismiss(options->guard_fd > 0 ? options->guard_fd : -1);
    kt_lane_close(&r.lane);
    kt_mongo_close(r.mongo);
    kt_region_free(&r.docs);
    kt_restore_file_free(&r.file);
    return status;
}
