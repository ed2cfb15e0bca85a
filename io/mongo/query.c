/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/query.h"

#include <string.h>

#include "io/mongo/fault.h"
#include "io/mongo/reply.h"

#define COUNT_MS 5000

/* An answer of the server that is no fault of network or rights is about the query. */
static enum kt_status blame(enum kt_status status, int code, const char *option, const char *ns,
                            struct kt_error *err)
{
    if (status == KT_OK || status == KT_E_DENIED || !code)
        return status;
    struct kt_error why = *err;
    return kt_fail(err, KT_E_USAGE, "%s: %s: %s", option, ns, why.message);
}

static void build_find(bson_t *command, const char *coll, const bson_t *query)
{
    static const char *const along[] = {"hint", "sort"};
    bson_t part;
    BSON_APPEND_UTF8(command, "find", coll);
    BSON_APPEND_DOCUMENT(command, "filter", query);
    for (size_t i = 0; i < 2; i++) {
        BSON_APPEND_DOCUMENT_BEGIN(command, along[i], &part);
        BSON_APPEND_INT32(&part, "_id", 1);
        bson_append_document_end(command, &part);
    }
}

/* [{$match: query}, {$count: "n"}]: the count command knows less of the language. */
static void build_count(bson_t *command, const char *coll, const bson_t *query)
{
    bson_t pipeline, stage, cursor;
    BSON_APPEND_UTF8(command, "aggregate", coll);
    BSON_APPEND_ARRAY_BEGIN(command, "pipeline", &pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "0", &stage);
    BSON_APPEND_DOCUMENT(&stage, "$match", query);
    bson_append_document_end(&pipeline, &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "1", &stage);
    BSON_APPEND_UTF8(&stage, "$count", "n");
    bson_append_document_end(&pipeline, &stage);
    bson_append_array_end(command, &pipeline);
    BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &cursor);
    bson_append_document_end(command, &cursor);
    BSON_APPEND_INT32(command, "maxTimeMS", COUNT_MS);
}

static enum kt_status explain(struct kt_mongo *mongo, const char *db, const bson_t *what, int *code,
                              struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    BSON_APPEND_DOCUMENT(&command, "explain", what);
    BSON_APPEND_UTF8(&command, "verbosity", "queryPlanner");
    enum kt_status status = kt_mongo_read_coded(mongo, db, &command, NULL, false, &reply, code, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_query_check(struct kt_mongo *mongo, const char *ns, const char *option, const bson_t *query,
                              struct kt_error *err)
{
    bson_t find = BSON_INITIALIZER, count = BSON_INITIALIZER;
    char db[64];
    const char *coll;
    int code;
    if (!kt_ns_split(ns, db, &coll))
        return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
    build_find(&find, coll, query);
    build_count(&count, coll, query);
    enum kt_status status = explain(mongo, db, &find, &code, err);
    if (status == KT_OK)
        status = explain(mongo, db, &count, &code, err);
    bson_destroy(&find);
    bson_destroy(&count);
    return blame(status, code, option, ns, err);
}

enum kt_status kt_query_count(struct kt_mongo *mongo, const char *ns, const char *option, const bson_t *query,
                              bool *known, uint64_t *count, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    char db[64];
    const char *coll;
    int code;
    *count = 0;
    if (!kt_ns_split(ns, db, &coll))
        return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
    build_count(&command, coll, query);
    enum kt_status status = kt_mongo_read_coded(mongo, db, &command, NULL, true, &reply, &code, err);
    *known = status == KT_OK;
    /* Nothing found is an empty batch. */
    if (*known)
        *count = kt_reply_figure(&reply, "cursor.firstBatch.0.n");
    bson_destroy(&reply);
    bson_destroy(&command);
    return code == KT_CODE_MAX_TIME_MS_EXPIRED ? KT_OK : blame(status, code, option, ns, err);
}
