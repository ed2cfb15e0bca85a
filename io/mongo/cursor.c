/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that answer with a cursor. The driver's own cursors take a batch that cannot be read, and two
 * empty ones in a row, for the end, and abort the process at a document without an end. */
#include <string.h>

#include "io/mongo/reply.h"
#include "io/mongo/trying.h"

/* Empty batches in a row: a server that has nothing yet waits with its answer. */
#define EMPTY_MAX 1000

struct cursor {
    struct kt_mongo *mongo;
    mongoc_client_t *client;
    mongoc_client_session_t *session;
    const char *db, *doing;
    bson_t opts; /* session and server: more is asked in the one, and of the other */
    bson_t reply;
    struct kt_reply_batch batch; /* of reply */
    struct kt_fault fault;
    bool fresh; /* nothing was handed on, so the same may be asked again */
};

/* Expressions run over documents, and what the server says of them may quote values. */
static enum kt_status refused(struct cursor *cursor, struct kt_error *err)
{
    return kt_fault_fail(&cursor->fault, kt_mongo_name(cursor->mongo), cursor->doing, true, err);
}

static enum kt_status broken(struct cursor *cursor, const char *what, struct kt_error *err)
{
    return kt_fail(err, KT_E_NET, "%s: %s: %s", kt_mongo_name(cursor->mongo), cursor->doing, what);
}

static bool choose_server(struct cursor *cursor, bson_error_t *error)
{
    mongoc_server_description_t *server = mongoc_client_select_server(
        cursor->client, false, mongoc_client_get_read_prefs(cursor->client), error);
    bson_reinit(&cursor->opts);
    bool ok =
        server && BSON_APPEND_INT32(&cursor->opts, "serverId", (int32_t)mongoc_server_description_id(server));
    mongoc_server_description_destroy(server);
    return ok && (!cursor->session || mongoc_client_session_append(cursor->session, &cursor->opts, error));
}

/* The reply takes the place of the last one. By a call that the driver makes once: the answer to a second
 * getMore would be the batch behind, and that to a second find might come from another server. */
static enum kt_status exchange(struct cursor *cursor, const bson_t *command, struct kt_error *err)
{
    bson_error_t error = {0};
    bson_t reply;
    bool ok = mongoc_client_command_with_opts(cursor->client, cursor->db, command, NULL, &cursor->opts,
                                              &reply, &error);
    bson_destroy(&cursor->reply);
    bson_steal(&cursor->reply, &reply);
    cursor->batch = (struct kt_reply_batch){0};
    if (!kt_fault_none(&cursor->fault, ok, &cursor->reply, &error))
        return refused(cursor, err);
    if (!kt_reply_batch_open(&cursor->batch, &cursor->reply))
        return broken(cursor, "the reply cannot be read: its batch of documents is broken", err);
    return KT_OK;
}

static enum kt_status ask(struct cursor *cursor, const bson_t *command, struct kt_error *err)
{
    bson_error_t error = {0};
    if (choose_server(cursor, &error))
        return exchange(cursor, command, err);
    kt_fault_read(&cursor->fault, NULL, &error);
    return refused(cursor, err);
}

/* The collection's name as getMore and killCursors want it. */
static const char *collection_of(const struct cursor *cursor)
{
    size_t nbytes = strlen(cursor->db);
    const char *ns = cursor->batch.ns;
    return ns && strncmp(ns, cursor->db, nbytes) == 0 && ns[nbytes] == '.' ? ns + nbytes + 1 : NULL;
}

static enum kt_status ask_more(struct cursor *cursor, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER;
    const char *collection = collection_of(cursor);
    if (!collection)
        return broken(cursor, "the reply cannot be read: it does not say where its cursor is", err);
    BSON_APPEND_INT64(&command, "getMore", cursor->batch.cursor);
    BSON_APPEND_UTF8(&command, "collection", collection);
    enum kt_status status = exchange(cursor, &command, err);
    bson_destroy(&command);
    return status;
}

/* Who goes without having read all leaves nothing open. */
static void end(struct cursor *cursor)
{
    bson_t command = BSON_INITIALIZER, list;
    const char *collection = collection_of(cursor);
    if (cursor->batch.cursor && collection) {
        BSON_APPEND_UTF8(&command, "killCursors", collection);
        BSON_APPEND_ARRAY_BEGIN(&command, "cursors", &list);
        BSON_APPEND_INT64(&list, "0", cursor->batch.cursor);
        bson_append_array_end(&command, &list);
        (void)!mongoc_client_command_with_opts(cursor->client, cursor->db, &command, NULL, &cursor->opts,
                                               NULL, NULL);
    }
    bson_destroy(&command);
    cursor->batch.cursor = 0;
}

/* The reply in hand and all that follow. */
static enum kt_status drain(struct cursor *cursor, kt_each_fn each, void *context, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (unsigned empty = 0; status == KT_OK;) {
        bson_t doc;
        while (status == KT_OK && kt_reply_batch_next(&cursor->batch, &doc)) {
            cursor->fresh = false;
            status = each(context, &doc, err);
        }
        empty = cursor->batch.count ? 0 : empty + 1;
        if (status != KT_OK || !cursor->batch.cursor)
            break;
        status = empty > EMPTY_MAX ? broken(cursor, "the server sends empty batches without an end", err)
                                   : ask_more(cursor, err);
    }
    if (status != KT_OK)
        end(cursor);
    return status;
}

enum kt_status kt_mongo_each_of_command(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                        const char *doing, kt_each_fn each, void *context,
                                        struct kt_error *err)
{
    struct cursor cursor = {.mongo = mongo,
                            .client = kt_mongo_borrow(mongo),
                            .db = db,
                            .doing = doing,
                            .opts = BSON_INITIALIZER,
                            .reply = BSON_INITIALIZER,
                            .fresh = true};
    cursor.session = mongoc_client_start_session(cursor.client, NULL, NULL);
    enum kt_status status;
    struct kt_trying trying = kt_trying_begin(mongo);
    do {
        status = ask(&cursor, command, err);
        if (status == KT_OK)
            status = drain(&cursor, each, context, err);
    } while (status != KT_OK && cursor.fresh && kt_try_again(&trying, &cursor.fault));
    if (cursor.session)
        mongoc_client_session_destroy(cursor.session);
    kt_mongo_give_back(mongo, cursor.client);
    bson_destroy(&cursor.opts);
    bson_destroy(&cursor.reply);
    return status;
}
