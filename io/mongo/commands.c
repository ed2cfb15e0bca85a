/* SPDX-License-Identifier: Apache-2.0 */
/* Commands outside of transactions. cursor.c: those that answer with more than one reply. */
#include <stdio.h>
#include <string.h>

#include "io/mongo/trying.h"

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
    struct kt_trying trying = kt_trying_begin(mongo);
    for (;;) {
        bson_error_t error = {0};
        mongoc_client_t *client = kt_mongo_borrow(mongo);
        bool ok = mongoc_client_read_command_with_opts(client, db, command, NULL, opts, reply, &error);
        kt_mongo_give_back(mongo, client);
        *code = 0;
        if (kt_fault_none(&fault, ok, reply, &error))
            return KT_OK;
        *code = fault.passing ? 0 : fault.code;
        if (!kt_try_again(&trying, &fault))
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
    struct kt_trying trying = kt_trying_begin(mongo);
    for (;;) {
        bson_error_t error = {0};
        mongoc_client_t *client = kt_mongo_borrow(mongo);
        ok = mongoc_client_write_command_with_opts(client, db, command, &opts, reply, &error);
        kt_mongo_give_back(mongo, client);
        ok = kt_fault_none(&fault, ok, reply, &error);
        if (ok || !kt_try_again(&trying, &fault))
            break;
        bson_destroy(reply);
    }
    bson_destroy(&opts);
    if (code)
        *code = fault.code;
    return ok ? KT_OK : kt_fault_fail(&fault, kt_mongo_name(mongo), name_of(command), false, err);
}

static enum kt_status not_a_namespace(const char *ns, struct kt_error *err)
{
    return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
}

static void append_majority(bson_t *command)
{
    bson_t concern;
    BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
    BSON_APPEND_UTF8(&concern, "level", "majority");
    bson_append_document_end(command, &concern);
}

enum kt_status kt_mongo_each(struct kt_mongo *mongo, const char *ns, const bson_t *filter, const bson_t *opts,
                             kt_each_fn each, void *context, struct kt_error *err)
{
    char db[64], doing[400];
    const char *name;
    bson_t command = BSON_INITIALIZER;
    if (!kt_ns_split(ns, db, &name))
        return not_a_namespace(ns, err);
    snprintf(doing, sizeof doing, "reading %s", ns);
    BSON_APPEND_UTF8(&command, "find", name);
    BSON_APPEND_DOCUMENT(&command, "filter", filter);
    if (opts)
        bson_concat(&command, opts);
    append_majority(&command);
    enum kt_status status = kt_mongo_each_of_command(mongo, db, &command, doing, each, context, err);
    bson_destroy(&command);
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
    bson_t command = BSON_INITIALIZER;
    if (!kt_ns_split(ns, db, &name))
        return not_a_namespace(ns, err);
    snprintf(doing, sizeof doing, "reading %s", ns);
    BSON_APPEND_UTF8(&command, "aggregate", name);
    complete_aggregate(&command, pipeline, opts);
    append_majority(&command);
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
