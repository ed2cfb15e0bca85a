/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/query.h"

#include <string.h>

#include "io/mongo/fault.h"

#define COUNT_MS 5000

enum kt_status kt_query_check(struct kt_mongo *mongo, const char *ns, const bson_t *query,
                              struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, find, part, reply;
    char db[64];
    const char *coll;
    int code = 0;
    if (!kt_ns_split(ns, db, &coll))
        return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "explain", &find);
    BSON_APPEND_UTF8(&find, "find", coll);
    BSON_APPEND_DOCUMENT(&find, "filter", query);
    static const char *const along[] = {"hint", "sort"};
    for (size_t i = 0; i < 2; i++) {
        BSON_APPEND_DOCUMENT_BEGIN(&find, along[i], &part);
        BSON_APPEND_INT32(&part, "_id", 1);
        bson_append_document_end(&find, &part);
    }
    bson_append_document_end(&command, &find);
    BSON_APPEND_UTF8(&command, "verbosity", "queryPlanner");
    enum kt_status status = kt_mongo_read_coded(mongo, db, &command, NULL, &reply, &code, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    if (status == KT_OK || status == KT_E_DENIED || !code)
        return status;
    struct kt_error why = *err;
    return kt_fail(err, KT_E_USAGE, "--query: %s: %s", ns, why.message);
}

enum kt_status kt_query_count(struct kt_mongo *mongo, const char *ns, const bson_t *query, bool *known,
                              uint64_t *count, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    bson_iter_t iter;
    char db[64];
    const char *coll;
    int code = 0;
    *known = false;
    *count = 0;
    if (!kt_ns_split(ns, db, &coll))
        return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
    BSON_APPEND_UTF8(&command, "count", coll);
    BSON_APPEND_DOCUMENT(&command, "query", query);
    BSON_APPEND_INT32(&command, "maxTimeMS", COUNT_MS);
    enum kt_status status = kt_mongo_read_coded(mongo, db, &command, NULL, &reply, &code, err);
    if (status == KT_OK && bson_iter_init_find(&iter, &reply, "n")) {
        *known = true;
        *count = (uint64_t)bson_iter_as_int64(&iter);
    }
    bson_destroy(&reply);
    bson_destroy(&command);
    return code == KT_CODE_MAX_TIME_MS_EXPIRED ? KT_OK : status;
}
