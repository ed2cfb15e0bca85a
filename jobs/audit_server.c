/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/collection.h"
#include "jobs/audit.h"

#define CLIENTS 2

struct taking {
    struct kt_audit *audit;
    struct kt_audit_reading *reading;
};

static enum kt_status take(void *context, const bson_t *doc, struct kt_error *err)
{
    struct taking *taking = context;
    struct kt_span bytes = kt_span_of(bson_get_data(doc), doc->len);
    return kt_audit_count_document(taking->audit, taking->reading, bytes) == KT_OK
               ? KT_OK
               : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

static bool is_true(const bson_t *doc, const char *field)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, doc, field) && bson_iter_as_bool(&iter);
}

/* What one index is worth: drivers want {keyAltNames: 1}, unique, partial on {$exists: true}. Without
 * `unique` two DEKs may take the same name; without `partial` two DEKs without a name are in each other's
 * way. */
static enum kt_audit_index judge(const bson_t *index)
{
    bson_iter_t iter, field;
    if (!bson_iter_init_find(&iter, index, "key") || !bson_iter_recurse(&iter, &field) ||
        !bson_iter_next(&field) || strcmp(bson_iter_key(&field), "keyAltNames") != 0 ||
        bson_iter_next(&field))
        return KT_INDEX_MISSING;
    if (!is_true(index, "unique"))
        return KT_INDEX_NOT_UNIQUE;
    return bson_iter_init_find(&iter, index, "partialFilterExpression") ? KT_INDEX_GOOD
                                                                        : KT_INDEX_NOT_PARTIAL;
}

static enum kt_audit_index judge_all(const bson_t *indexes)
{
    enum kt_audit_index best = KT_INDEX_MISSING;
    bson_iter_t iter;
    for (bool ok = bson_iter_init(&iter, indexes); ok && bson_iter_next(&iter);) {
        const uint8_t *data;
        uint32_t nbytes;
        bson_t index;
        if (!BSON_ITER_HOLDS_DOCUMENT(&iter))
            continue;
        bson_iter_document(&iter, &nbytes, &data);
        enum kt_audit_index found = bson_init_static(&index, data, nbytes) ? judge(&index) : KT_INDEX_MISSING;
        if (found == KT_INDEX_GOOD || best == KT_INDEX_MISSING)
            best = found;
    }
    return best;
}

/* The connection string may hold a password: screens get the server's own name. */
static enum kt_status name_vault(struct kt_audit_reading *reading, const char *ns,
                                 const struct kt_mongo *mongo)
{
    const char *server = kt_mongo_name(mongo);
    enum kt_status status = kt_buf_append(&reading->name, ns, strlen(ns) + 1);
    if (status == KT_OK)
        status = kt_buf_append(&reading->where, " on ", 4);
    if (status == KT_OK)
        status = kt_buf_append(&reading->where, server, strlen(server) + 1);
    if (status == KT_OK)
        status = kt_mongo_hosts(mongo, &reading->hosts);
    if (status != KT_OK)
        return status;
    reading->shown->name = (const char *)reading->name.data;
    reading->shown->where = (const char *)reading->where.data;
    reading->shown->server = reading->shown->where + 4;
    reading->shown->hosts = (const char *)reading->hosts.data;
    return KT_OK;
}

enum kt_status kt_audit_read_server(struct kt_audit *audit, struct kt_audit_reading *reading, const char *uri,
                                    struct kt_error *err)
{
    struct taking taking = {audit, reading};
    struct kt_mongo *mongo;
    struct kt_coll coll = {0};
    const char *ns = audit->options.key_vault_namespace;
    bson_t all = BSON_INITIALIZER;
    enum kt_status status = kt_mongo_open(&mongo, uri, "--key-vault", CLIENTS, audit->options.log, err);
    if (status != KT_OK) {
        bson_destroy(&all);
        return status;
    }
    if (name_vault(reading, ns, mongo) != KT_OK)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (status == KT_OK) {
        status = kt_coll_read(mongo, ns, &coll, err);
        if (status == KT_OK && coll.kind == KT_COLL_MISSING)
            status = kt_fail(err, KT_E_USAGE, "%s holds no %s; name the key vault with --key-vault-namespace",
                             kt_mongo_name(mongo), ns);
        if (status == KT_OK)
            reading->shown->index = judge_all(&coll.indexes);
        kt_coll_free(&coll);
    }
    if (status == KT_OK)
        status = kt_mongo_each(mongo, ns, &all, NULL, take, &taking, err);
    bson_destroy(&all);
    kt_mongo_close(mongo);
    return status;
}
