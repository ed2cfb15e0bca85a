/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and cursors outside of transactions. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "io/mongo/client.h"
#include "io/mongo/fault.h"

#define PAUSE_MAX_NS 400000000L

/* A command outside of transactions is sent again after what a failover brings: all of ours may be. */
struct trying {
    const struct kt_mongo *mongo;
    uint64_t since_ns;
    long pause_ns;
};

static struct trying begin(const struct kt_mongo *mongo)
{
    return (struct trying){.mongo = mongo, .since_ns = kt_clock_ns(), .pause_ns = PAUSE_MAX_NS / 16};
}

static bool try_again(struct trying *trying, const struct kt_fault *fault)
{
    if (!fault->passing || kt_mongo_is_given_up(trying->mongo) ||
        kt_clock_ns() - trying->since_ns >= kt_mongo_patience_ns(trying->mongo))
        return false;
    nanosleep(&(struct timespec){.tv_nsec = trying->pause_ns}, NULL);
    if (trying->pause_ns < PAUSE_MAX_NS)
        trying->pause_ns *= 2;
    return true;
}

static const char *name_of(const bson_t *command)
{
    bson_iter_t iter;
    return bson_iter_init(&iter, command) && bson_iter_next(&iter) ? bson_iter_key(&iter) : "a command";
}

enum kt_status kt_mongo_read_coded(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                   const bson_t *opts, bool quiet, bson_t *reply, int *code,
                                   struct kt_error *err)
{
    struct kt_fault fault;
    struct trying trying = begin(mongo);
    for (;;) {
        bson_error_t error = {0};
        mongoc_client_t *client = kt_mongo_borrow(mongo);
        bool ok = mongoc_client_read_command_with_opts(client, db, command, NULL, opts, reply, &error);
        kt_mongo_give_back(mongo, client);
        *code = 0;
        if (ok)
            return KT_OK;
        kt_fault_read(&fault, reply, &error);
        *code = fault.passing ? 0 : fault.code;
        if (!try_again(&trying, &fault))
            return kt_fault_fail(&fault, kt_mongo_name(mongo), name_of(command), quiet, err);
        bson_destroy(reply);
    }
}

enum kt_status kt_mongo_read(struct kt_mongo *mongo, const char *db, const bson_t *command,
                             const bson_t *opts, bson_t *reply, struct kt_error *err)
{
    int code;
    return kt_mongo_read_coded(mongo, db, command, opts, false, reply, &code, err);
}

enum kt_status kt_mongo_write(struct kt_mongo *mongo, const char *db, const bson_t *command, bson_t *reply,
                              int *code, struct kt_error *err)
{
    struct kt_fault fault;
    bson_t opts = BSON_INITIALIZER, concern;
    bool ok = false;
    bson_append_document_begin(&opts, "writeConcern", -1, &concern);
    BSON_APPEND_UTF8(&concern, "w", "majority");
    bson_append_document_end(&opts, &concern);
    struct trying trying = begin(mongo);
    for (;;) {
        bson_error_t error = {0};
        mongoc_client_t *client = kt_mongo_borrow(mongo);
        ok = mongoc_client_write_command_with_opts(client, db, command, &opts, reply, &error);
        kt_mongo_give_back(mongo, client);
        kt_fault_read(&fault, reply, ok ? NULL : &error);
        ok = ok && !fault.code;
        if (ok || !try_again(&trying, &fault))
            break;
        bson_destroy(reply);
    }
    bson_destroy(&opts);
    if (code)
        *code = fault.code;
    return ok ? KT_OK : kt_fault_fail(&fault, kt_mongo_name(mongo), name_of(command), false, err);
}

/* *fresh: nothing was handed on, so the same may be asked again. Expressions run over documents, and what the
 * server says of them may quote values. */
static enum kt_status drain(struct kt_mongo *mongo, mongoc_cursor_t *cursor, const char *doing,
                            kt_each_fn each, void *context, struct kt_fault *fault, bool *fresh,
                            struct kt_error *err)
{
    const bson_t *doc, *reply = NULL;
    bson_error_t error = {0};
    enum kt_status status = KT_OK;
    *fresh = true;
    *fault = (struct kt_fault){0};
    while (status == KT_OK && mongoc_cursor_next(cursor, &doc)) {
        *fresh = false;
        status = each(context, doc, err);
    }
    if (status == KT_OK && mongoc_cursor_error_document(cursor, &error, &reply)) {
        kt_fault_read(fault, reply, &error);
        status = kt_fault_fail(fault, kt_mongo_name(mongo), doing, true, err);
    }
    mongoc_cursor_destroy(cursor);
    return status;
}

static mongoc_collection_t *majority_collection(mongoc_client_t *client, const char *ns)
{
    char db[64];
    const char *name;
    if (!kt_ns_split(ns, db, &name))
        return NULL;
    mongoc_collection_t *coll = mongoc_client_get_collection(client, db, name);
    mongoc_read_concern_t *concern = mongoc_read_concern_new();
    mongoc_read_concern_set_level(concern, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_collection_set_read_concern(coll, concern);
    mongoc_read_concern_destroy(concern);
    return coll;
}

static enum kt_status not_a_namespace(const char *ns, struct kt_error *err)
{
    return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
}

enum kt_status kt_mongo_each(struct kt_mongo *mongo, const char *ns, const bson_t *filter, const bson_t *opts,
                             kt_each_fn each, void *context, struct kt_error *err)
{
    char doing[400];
    mongoc_client_t *client = kt_mongo_borrow(mongo);
    mongoc_collection_t *coll = majority_collection(client, ns);
    if (!coll) {
        kt_mongo_give_back(mongo, client);
        return not_a_namespace(ns, err);
    }
    struct kt_fault fault;
    enum kt_status status;
    bool fresh;
    snprintf(doing, sizeof doing, "reading %s", ns);
    struct trying trying = begin(mongo);
    for (;;) {
        mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(coll, filter, opts, NULL);
        status = drain(mongo, cursor, doing, each, context, &fault, &fresh, err);
        if (status == KT_OK || !fresh || !try_again(&trying, &fault))
            break;
    }
    mongoc_collection_destroy(coll);
    kt_mongo_give_back(mongo, client);
    return status;
}

/* NULL: fault says why. A cursor asks for more in the session and of the server of its command, so both are
 * named. */
static mongoc_cursor_t *open_cursor(mongoc_client_t *client, const mongoc_client_session_t *session,
                                    const char *db, const bson_t *command, struct kt_fault *fault)
{
    bson_t opts = BSON_INITIALIZER, reply;
    bson_error_t error = {0};
    mongoc_cursor_t *cursor = NULL;
    mongoc_server_description_t *server =
        mongoc_client_select_server(client, false, mongoc_client_get_read_prefs(client), &error);
    if (server)
        BSON_APPEND_INT32(&opts, "serverId", (int32_t)mongoc_server_description_id(server));
    if (!server || (session && !mongoc_client_session_append(session, &opts, &error))) {
        kt_fault_read(fault, NULL, &error);
    } else if (mongoc_client_read_command_with_opts(client, db, command, NULL, &opts, &reply, &error)) {
        cursor = mongoc_cursor_new_from_command_reply_with_opts(client, &reply, &opts);
    } else {
        kt_fault_read(fault, &reply, &error);
        bson_destroy(&reply);
    }
    mongoc_server_description_destroy(server);
    bson_destroy(&opts);
    return cursor;
}

enum kt_status kt_mongo_each_of_command(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                        const char *doing, kt_each_fn each, void *context,
                                        struct kt_error *err)
{
    mongoc_client_t *client = kt_mongo_borrow(mongo);
    mongoc_client_session_t *session = mongoc_client_start_session(client, NULL, NULL);
    enum kt_status status;
    struct kt_fault fault;
    struct trying trying = begin(mongo);
    for (;;) {
        bool fresh = true;
        mongoc_cursor_t *cursor = open_cursor(client, session, db, command, &fault);
        status = cursor ? drain(mongo, cursor, doing, each, context, &fault, &fresh, err)
                        : kt_fault_fail(&fault, kt_mongo_name(mongo), doing, true, err);
        if (status == KT_OK || !fresh || !try_again(&trying, &fault))
            break;
    }
    if (session)
        mongoc_client_session_destroy(session);
    kt_mongo_give_back(mongo, client);
    return status;
}

/* {"pipeline": [...]} completed to a command. libmongoc's own mongoc_collection_aggregate fails in Debian 13.
 */
static void complete_aggregate(bson_t *command, const bson_t *pipeline, const bson_t *opts)
{
    bson_t part;
    bson_concat(command, pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &part);
    bson_append_document_end(command, &part);
    if (opts)
        bson_concat(command, opts);
}

enum kt_status kt_mongo_aggregate(struct kt_mongo *mongo, const char *ns, const bson_t *pipeline,
                                  const bson_t *opts, kt_each_fn each, void *context, struct kt_error *err)
{
    char db[64], doing[400];
    const char *name;
    bson_t command = BSON_INITIALIZER, concern;
    if (!kt_ns_split(ns, db, &name))
        return not_a_namespace(ns, err);
    snprintf(doing, sizeof doing, "reading %s", ns);
    BSON_APPEND_UTF8(&command, "aggregate", name);
    complete_aggregate(&command, pipeline, opts);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    bson_append_document_end(&command, &concern);
    enum kt_status status = kt_mongo_each_of_command(mongo, db, &command, doing, each, context, err);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_mongo_aggregate_db(struct kt_mongo *mongo, const char *db, const bson_t *pipeline,
                                     kt_each_fn each, void *context, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT32(&command, "aggregate", 1);
    complete_aggregate(&command, pipeline, NULL);
    enum kt_status status =
        kt_mongo_each_of_command(mongo, db, &command, "an aggregation", each, context, err);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_mongo_kill_sessions(struct kt_mongo *mongo, const uint8_t *ids, size_t count,
                                      struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, list, item, reply;
    if (count == 0)
        return KT_OK;
    bson_append_array_begin(&command, "killSessions", -1, &list);
    for (size_t i = 0; i < count; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &item);
        BSON_APPEND_BINARY(&item, "id", BSON_SUBTYPE_UUID, ids + 16 * i, 16);
        bson_append_document_end(&list, &item);
    }
    bson_append_array_end(&command, &list);
    enum kt_status status = kt_mongo_read(mongo, "admin", &command, NULL, &reply, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}
