/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "io/mongo/fault.h"
#include "io/mongo/lease_private.h"
#include "io/mongo/state.h"

#define POLL_NS 250000000L

/* Who holds it now. */
struct holder {
    bool found, expired;
    struct kt_owner owner;
    char text[400]; /* for messages */
    uint8_t *sessions;
    size_t sessions_count;
};

static void append_name(bson_t *out, const struct kt_lease_name *name)
{
    bson_t id;
    BSON_APPEND_DOCUMENT_BEGIN(out, "_id", &id);
    BSON_APPEND_UTF8(&id, "ns", name->ns);
    BSON_APPEND_UTF8(&id, "is", "lease");
    BSON_APPEND_INT32(&id, "part", name->part);
    bson_append_document_end(out, &id);
}

static void append_owner_id(bson_t *out, const uint8_t id[16])
{
    BSON_APPEND_BINARY(out, "owner", BSON_SUBTYPE_UUID, id, 16);
}

/* {expires: {$add: ["$$NOW", KT_LEASE_MS]}}: for the pipeline form of an update. */
static void append_expiry(bson_t *out)
{
    bson_t expires, add;
    BSON_APPEND_DOCUMENT_BEGIN(out, "expires", &expires);
    BSON_APPEND_ARRAY_BEGIN(&expires, "$add", &add);
    BSON_APPEND_UTF8(&add, "0", "$$NOW");
    BSON_APPEND_INT64(&add, "1", KT_LEASE_MS);
    bson_append_array_end(&expires, &add);
    bson_append_document_end(out, &expires);
}

static void append_literal(bson_t *out, const char *key, const char *text)
{
    bson_t literal;
    BSON_APPEND_DOCUMENT_BEGIN(out, key, &literal);
    BSON_APPEND_UTF8(&literal, "$literal", text);
    bson_append_document_end(out, &literal);
}

static void append_us(bson_t *out, const struct kt_lease_name *name, const struct kt_owner *owner,
                      const uint8_t *sessions, size_t count)
{
    bson_t list;
    append_owner_id(out, owner->id);
    append_literal(out, "command", name->command);
    append_literal(out, "job", name->job);
    append_literal(out, "host", owner->host);
    append_literal(out, "bootId", owner->boot_id);
    BSON_APPEND_INT64(out, "pidNs", (int64_t)owner->pid_ns);
    BSON_APPEND_INT32(out, "pid", owner->pid);
    BSON_APPEND_INT64(out, "started", (int64_t)owner->started);
    BSON_APPEND_ARRAY_BEGIN(out, "sessions", &list);
    for (size_t i = 0; i < count; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        bson_append_binary(&list, key, -1, BSON_SUBTYPE_UUID, sessions + 16 * i, 16);
    }
    bson_append_array_end(out, &list);
    append_expiry(out);
}

static void copy_text(char *out, size_t nbytes, const bson_iter_t *iter)
{
    snprintf(out, nbytes, "%s", BSON_ITER_HOLDS_UTF8(iter) ? bson_iter_utf8(iter, NULL) : "");
}

static void read_sessions(struct holder *holder, const bson_iter_t *list)
{
    bson_iter_t item;
    free(holder->sessions);
    holder->sessions = NULL;
    holder->sessions_count = 0;
    if (!BSON_ITER_HOLDS_ARRAY(list) || !bson_iter_recurse(list, &item))
        return;
    while (bson_iter_next(&item)) {
        bson_subtype_t subtype;
        uint32_t nbytes = 0;
        const uint8_t *id = NULL;
        if (BSON_ITER_HOLDS_BINARY(&item))
            bson_iter_binary(&item, &subtype, &nbytes, &id);
        uint8_t *more = nbytes == 16 ? realloc(holder->sessions, 16 * (holder->sessions_count + 1)) : NULL;
        if (!more)
            continue;
        memcpy(more + 16 * holder->sessions_count++, id, 16);
        holder->sessions = more;
    }
}

static enum kt_status take_holder(void *context, const bson_t *doc, struct kt_error *err)
{
    struct holder *holder = context;
    struct kt_owner *owner = &holder->owner;
    bson_iter_t iter;
    char command[32] = "";
    (void)err;
    holder->found = bson_iter_init(&iter, doc);
    while (holder->found && bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        bson_subtype_t subtype;
        uint32_t nbytes = 0;
        const uint8_t *id = NULL;
        if (strcmp(key, "owner") == 0 && BSON_ITER_HOLDS_BINARY(&iter)) {
            bson_iter_binary(&iter, &subtype, &nbytes, &id);
            if (nbytes == sizeof owner->id)
                memcpy(owner->id, id, nbytes);
        } else if (strcmp(key, "host") == 0)
            copy_text(owner->host, sizeof owner->host, &iter);
        else if (strcmp(key, "bootId") == 0)
            copy_text(owner->boot_id, sizeof owner->boot_id, &iter);
        else if (strcmp(key, "command") == 0)
            copy_text(command, sizeof command, &iter);
        else if (strcmp(key, "pidNs") == 0)
            owner->pid_ns = (uint64_t)bson_iter_as_int64(&iter);
        else if (strcmp(key, "pid") == 0)
            owner->pid = (int)bson_iter_as_int64(&iter);
        else if (strcmp(key, "started") == 0)
            owner->started = (uint64_t)bson_iter_as_int64(&iter);
        else if (strcmp(key, "expired") == 0)
            holder->expired = bson_iter_as_bool(&iter);
        else if (strcmp(key, "sessions") == 0)
            read_sessions(holder, &iter);
    }
    snprintf(holder->text, sizeof holder->text, "%s by process %d on %s", command, owner->pid, owner->host);
    return KT_OK;
}

/* The server says whether it has expired: no other clock counts. */
static enum kt_status look(struct kt_mongo *mongo, const struct kt_lease_name *name, struct holder *holder,
                           struct kt_error *err)
{
    char ns[80];
    bson_t *match = bson_new();
    bson_t pipeline = BSON_INITIALIZER, stages;
    append_name(match, name);
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);
    bson_t stage, add, expired, less;
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT(&stage, "$match", match);
    bson_append_document_end(&stages, &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "1", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$addFields", &add);
    BSON_APPEND_DOCUMENT_BEGIN(&add, "expired", &expired);
    BSON_APPEND_ARRAY_BEGIN(&expired, "$lt", &less);
    BSON_APPEND_UTF8(&less, "0", "$expires");
    BSON_APPEND_UTF8(&less, "1", "$$NOW");
    bson_append_array_end(&expired, &less);
    bson_append_document_end(&add, &expired);
    bson_append_document_end(&stage, &add);
    bson_append_document_end(&stages, &stage);
    bson_append_array_end(&pipeline, &stages);
    snprintf(ns, sizeof ns, "%s." KT_STATE_CHECKPOINTS, name->state_db);
    free(holder->sessions);
    *holder = (struct holder){0};
    enum kt_status status = kt_mongo_aggregate(mongo, ns, &pipeline, NULL, take_holder, holder, err);
    bson_destroy(&pipeline);
    bson_destroy(match);
    return status;
}

/* {update: checkpoints, updates: [{q: name + owner, u: [{$set: ...}], upsert}]}. from NULL: nobody has it. */
static enum kt_status seize(struct kt_mongo *mongo, const struct kt_lease_name *name,
                            const struct kt_owner *owner, const struct holder *from, const uint8_t *sessions,
                            size_t count, bool *ours, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, q, u, stage, set, reply;
    int code = 0;
    BSON_APPEND_UTF8(&command, "update", KT_STATE_CHECKPOINTS);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &item);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "q", &q);
    append_name(&q, name);
    /* Without a holder the upsert of an owner that cannot exist beside ours tells a race by its duplicate
     * key. */
    append_owner_id(&q, from ? from->owner.id : owner->id);
    bson_append_document_end(&item, &q);
    BSON_APPEND_ARRAY_BEGIN(&item, "u", &u);
    BSON_APPEND_DOCUMENT_BEGIN(&u, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$set", &set);
    append_us(&set, name, owner, sessions, count);
    bson_append_document_end(&stage, &set);
    bson_append_document_end(&u, &stage);
    bson_append_array_end(&item, &u);
    BSON_APPEND_BOOL(&item, "upsert", from == NULL);
    bson_append_document_end(&list, &item);
    bson_append_array_end(&command, &list);
    enum kt_status status = kt_mongo_write(mongo, name->state_db, &command, &reply, &code, err);
    bson_iter_t iter;
    *ours = status == KT_OK && bson_iter_init_find(&iter, &reply, "n") && bson_iter_as_int64(&iter) == 1;
    if (code == KT_CODE_DUPLICATE_KEY)
        status = KT_OK;
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

/* One look, and one try to take it. *ours false and KT_OK: held. */
static enum kt_status try_once(struct kt_mongo *mongo, const struct kt_lease_name *name,
                               const struct kt_owner *owner, const uint8_t *sessions, size_t count,
                               struct holder *holder, bool *ours, struct kt_error *err)
{
    *ours = false;
    enum kt_status status = look(mongo, name, holder, err);
    /* The answer to an earlier try may have been lost. */
    if (status == KT_OK && holder->found && memcmp(holder->owner.id, owner->id, sizeof owner->id) == 0) {
        *ours = true;
        return KT_OK;
    }
    if (status != KT_OK || (holder->found && !holder->expired && !kt_owner_is_dead(&holder->owner, owner)))
        return status;
    /* Nothing that its lanes have open may come in behind what we are going to read. */
    if (holder->found)
        status = kt_mongo_kill_sessions(mongo, holder->sessions, holder->sessions_count, err);
    if (status == KT_OK)
        status = seize(mongo, name, owner, holder->found ? holder : NULL, sessions, count, ours, err);
    return status;
}

enum kt_status kt_lease_take(struct kt_mongo *mongo, const struct kt_lease_name *name,
                             const struct kt_owner *owner, const uint8_t *sessions, size_t count,
                             kt_lease_waiting_fn waiting, void *context, struct kt_error *err)
{
    struct holder holder = {0};
    uint64_t until = kt_clock_ns() + (uint64_t)KT_LEASE_WAIT_MS * 1000000;
    enum kt_status status;
    for (unsigned round = 0;; round++) {
        bool ours;
        status = try_once(mongo, name, owner, sessions, count, &holder, &ours, err);
        if (status != KT_OK || ours)
            break;
        if (round % 4 == 0 && waiting && !waiting(context, holder.text)) {
            status = kt_fail(err, KT_E_STOPPED, "stopped by request");
            break;
        }
        if (kt_clock_ns() >= until) {
            status = kt_fail(err, KT_E_BUSY, "%s: another keyturn works on it: %s; wait until it has ended",
                             name->ns, holder.text);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    free(holder.sessions);
    return status;
}

enum kt_status kt_lease_renew(struct kt_mongo *mongo, const struct kt_lease_name *name,
                              const struct kt_owner *owner, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, q, u, stage, set, reply;
    bson_iter_t iter;
    BSON_APPEND_UTF8(&command, "update", KT_STATE_CHECKPOINTS);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &item);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "q", &q);
    append_name(&q, name);
    append_owner_id(&q, owner->id);
    bson_append_document_end(&item, &q);
    BSON_APPEND_ARRAY_BEGIN(&item, "u", &u);
    BSON_APPEND_DOCUMENT_BEGIN(&u, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$set", &set);
    append_expiry(&set);
    bson_append_document_end(&stage, &set);
    bson_append_document_end(&u, &stage);
    bson_append_array_end(&item, &u);
    bson_append_document_end(&list, &item);
    bson_append_array_end(&command, &list);
    enum kt_status status = kt_mongo_write(mongo, name->state_db, &command, &reply, NULL, err);
    if (status == KT_OK && (!bson_iter_init_find(&iter, &reply, "n") || bson_iter_as_int64(&iter) != 1))
        status = kt_fail(err, KT_E_BUSY, "%s: lease lost: another keyturn has taken this job over", name->ns);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_lease_release(struct kt_mongo *mongo, const struct kt_lease_name *name,
                                const struct kt_owner *owner, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, q, reply;
    BSON_APPEND_UTF8(&command, "delete", KT_STATE_CHECKPOINTS);
    BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &item);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "q", &q);
    append_name(&q, name);
    append_owner_id(&q, owner->id);
    bson_append_document_end(&item, &q);
    BSON_APPEND_INT32(&item, "limit", 1);
    bson_append_document_end(&list, &item);
    bson_append_array_end(&command, &list);
    enum kt_status status = kt_mongo_write(mongo, name->state_db, &command, &reply, NULL, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}
