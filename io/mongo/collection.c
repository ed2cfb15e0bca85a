/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/collection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mongo/reply.h"

/* Of a sample this many documents stand for one bound: the ranges' sizes then differ by less than a third. */
#define SAMPLED_A_BOUND 16

static enum kt_coll_kind kind_of(const char *type, const bson_t *options)
{
    bson_iter_t iter;
    if (strcmp(type, "view") == 0)
        return KT_COLL_VIEW;
    if (strcmp(type, "timeseries") == 0 || bson_has_field(options, "timeseries"))
        return KT_COLL_TIMESERIES;
    if (bson_iter_init_find(&iter, options, "capped") && bson_iter_as_bool(&iter))
        return KT_COLL_CAPPED;
    return bson_has_field(options, "encryptedFields") ? KT_COLL_QE : KT_COLL_PLAIN;
}

static void take_info(struct kt_coll *coll, const bson_t *info)
{
    bson_iter_t iter, uuid;
    bson_t options;
    bson_subtype_t subtype;
    uint32_t nbytes = 0;
    const uint8_t *id = NULL;
    const char *type = bson_iter_init_find(&iter, info, "type") && BSON_ITER_HOLDS_UTF8(&iter)
                           ? bson_iter_utf8(&iter, NULL)
                           : "collection";
    if (bson_iter_init_find(&iter, info, "options") && BSON_ITER_HOLDS_DOCUMENT(&iter) &&
        kt_reply_view(&iter, &options)) {
        bson_destroy(&coll->options);
        bson_copy_to(&options, &coll->options);
    }
    if (bson_iter_init(&iter, info) && bson_iter_find_descendant(&iter, "info.uuid", &uuid) &&
        BSON_ITER_HOLDS_BINARY(&uuid))
        bson_iter_binary(&uuid, &subtype, &nbytes, &id);
    if (nbytes == sizeof coll->uuid)
        memcpy(coll->uuid, id, nbytes);
    coll->kind = kind_of(type, &coll->options);
    coll->clustered = bson_has_field(&coll->options, "clusteredIndex");
}

static enum kt_status each_of_command(struct kt_mongo *mongo, const char *db, const bson_t *command,
                                      kt_each_fn each, void *context, struct kt_error *err)
{
    return kt_mongo_each_of_command(mongo, db, command, "reading a list", each, context, err);
}

static enum kt_status take_first_info(void *context, const bson_t *doc, struct kt_error *err)
{
    (void)err;
    take_info(context, doc);
    return KT_OK;
}

static enum kt_status read_info(struct kt_mongo *mongo, const char *db, const char *name,
                                struct kt_coll *coll, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, filter;
    BSON_APPEND_INT32(&command, "listCollections", 1);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
    BSON_APPEND_UTF8(&filter, "name", name);
    bson_append_document_end(&command, &filter);
    enum kt_status status = each_of_command(mongo, db, &command, take_first_info, coll, err);
    bson_destroy(&command);
    return status;
}

static enum kt_status take_index(void *context, const bson_t *doc, struct kt_error *err)
{
    struct kt_coll *coll = context;
    char number[16];
    const char *key;
    bson_uint32_to_string(bson_count_keys(&coll->indexes), &key, number, sizeof number);
    return BSON_APPEND_DOCUMENT(&coll->indexes, key, doc) ? KT_OK
                                                          : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

static enum kt_status read_indexes(struct kt_mongo *mongo, const char *db, const char *name,
                                   struct kt_coll *coll, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&command, "listIndexes", name);
    enum kt_status status = each_of_command(mongo, db, &command, take_index, coll, err);
    bson_destroy(&command);
    return status;
}

static enum kt_status take_stats(void *context, const bson_t *doc, struct kt_error *err)
{
    struct kt_coll *coll = context;
    (void)err;
    /* One document a shard. */
    coll->documents += kt_reply_figure(doc, "storageStats.count");
    coll->nbytes += kt_reply_figure(doc, "storageStats.size");
    coll->storage_nbytes += kt_reply_figure(doc, "storageStats.storageSize");
    coll->indexes_nbytes += kt_reply_figure(doc, "storageStats.totalIndexSize");
    return KT_OK;
}

static enum kt_status read_stats(struct kt_mongo *mongo, const char *ns, struct kt_coll *coll,
                                 struct kt_error *err)
{
    bson_t pipeline = BSON_INITIALIZER, stages, stage, stats, empty;
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$collStats", &stats);
    BSON_APPEND_DOCUMENT_BEGIN(&stats, "storageStats", &empty);
    bson_append_document_end(&stats, &empty);
    bson_append_document_end(&stage, &stats);
    bson_append_document_end(&stages, &stage);
    bson_append_array_end(&pipeline, &stages);
    enum kt_status status = kt_mongo_aggregate(mongo, ns, &pipeline, NULL, take_stats, coll, err);
    coll->average_nbytes = coll->documents ? coll->nbytes / coll->documents : 0;
    bson_destroy(&pipeline);
    return status;
}

static enum kt_status take_shard_key(void *context, const bson_t *doc, struct kt_error *err)
{
    struct kt_coll *coll = context;
    bson_iter_t iter;
    bson_t key;
    (void)err;
    if (bson_iter_init_find(&iter, doc, "key") && BSON_ITER_HOLDS_DOCUMENT(&iter) &&
        kt_reply_view(&iter, &key)) {
        bson_destroy(&coll->shard_key);
        bson_copy_to(&key, &coll->shard_key);
    }
    return KT_OK;
}

static enum kt_status read_shard_key(struct kt_mongo *mongo, const char *ns, struct kt_coll *coll,
                                     struct kt_error *err)
{
    bson_t filter = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&filter, "_id", ns);
    enum kt_status status =
        kt_mongo_each(mongo, "config.collections", &filter, NULL, take_shard_key, coll, err);
    bson_destroy(&filter);
    return status;
}

enum kt_status kt_coll_read(struct kt_mongo *mongo, const char *ns, struct kt_coll *coll,
                            struct kt_error *err)
{
    char db[64];
    const char *name;
    *coll = (struct kt_coll){.kind = KT_COLL_MISSING};
    bson_init(&coll->options);
    bson_init(&coll->indexes);
    bson_init(&coll->shard_key);
    if (!kt_ns_split(ns, db, &name))
        return kt_fail(err, KT_E_USAGE, "%s is no namespace; it has the form DATABASE.COLLECTION", ns);
    enum kt_status status = read_info(mongo, db, name, coll, err);
    if (status != KT_OK || coll->kind == KT_COLL_MISSING || coll->kind == KT_COLL_VIEW)
        return status;
    if (coll->kind == KT_COLL_TIMESERIES)
        return KT_OK;
    status = read_indexes(mongo, db, name, coll, err);
    if (status == KT_OK)
        status = read_stats(mongo, ns, coll, err);
    if (status == KT_OK && kt_mongo_topology(mongo) == KT_SHARDED)
        status = read_shard_key(mongo, ns, coll, err);
    return status;
}

void kt_coll_free(struct kt_coll *coll)
{
    bson_destroy(&coll->options);
    bson_destroy(&coll->indexes);
    bson_destroy(&coll->shard_key);
}

struct naming {
    const char *db;
    kt_name_fn each;
    void *context;
};

static enum kt_status take_name(void *context, const bson_t *doc, struct kt_error *err)
{
    struct naming *naming = context;
    bson_iter_t iter;
    char ns[400];
    if (!bson_iter_init_find(&iter, doc, "name") || !BSON_ITER_HOLDS_UTF8(&iter))
        return KT_OK;
    const char *name = bson_iter_utf8(&iter, NULL);
    if (strncmp(name, "system.", 7) == 0)
        return KT_OK;
    snprintf(ns, sizeof ns, "%s.%s", naming->db, name);
    return naming->each(naming->context, ns, err);
}

enum kt_status kt_coll_names(struct kt_mongo *mongo, const char *db, kt_name_fn each, void *context,
                             struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER;
    struct naming naming = {db, each, context};
    BSON_APPEND_INT32(&command, "listCollections", 1);
    BSON_APPEND_BOOL(&command, "nameOnly", true);
    BSON_APPEND_BOOL(&command, "authorizedCollections", true);
    enum kt_status status = each_of_command(mongo, db, &command, take_name, &naming, err);
    bson_destroy(&command);
    return status;
}

struct cutting {
    struct kt_id *bounds;
    size_t room, count, seen;
};

/* Every SAMPLED_A_BOUND'th of the sorted sample; a sample may hold a document twice. */
static enum kt_status take_bound(void *context, const bson_t *doc, struct kt_error *err)
{
    struct cutting *cutting = context;
    if (++cutting->seen % SAMPLED_A_BOUND != 0 || cutting->count == cutting->room)
        return KT_OK;
    struct kt_id *bound = &cutting->bounds[cutting->count];
    if (kt_id_of_doc(bound, bson_get_data(doc), doc->len) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    /* The server refuses ranges that are empty by their bounds alone. */
    if (!kt_id_is_set(bound) || kt_id_is_min_key(bound) || kt_id_is_max_key(bound))
        return KT_OK;
    if (cutting->count == 0 || !kt_id_equal(bound, bound - 1))
        cutting->count++;
    return KT_OK;
}

enum kt_status kt_coll_cut(struct kt_mongo *mongo, const char *ns, size_t parts, struct kt_id *bounds,
                           size_t *count, struct kt_error *err)
{
    *count = 0;
    if (parts < 2)
        return KT_OK;
    struct cutting cutting = {.bounds = bounds, .room = parts - 1};
    bson_t pipeline = BSON_INITIALIZER, opts = BSON_INITIALIZER, stages, stage, part;
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$sample", &part);
    BSON_APPEND_INT64(&part, "size", (int64_t)(parts * SAMPLED_A_BOUND));
    bson_append_document_end(&stage, &part);
    bson_append_document_end(&stages, &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "1", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$project", &part);
    BSON_APPEND_INT32(&part, "_id", 1);
    bson_append_document_end(&stage, &part);
    bson_append_document_end(&stages, &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "2", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$sort", &part);
    BSON_APPEND_INT32(&part, "_id", 1);
    bson_append_document_end(&stage, &part);
    bson_append_document_end(&stages, &stage);
    bson_append_array_end(&pipeline, &stages);
    BSON_APPEND_BOOL(&opts, "allowDiskUse", true);
    enum kt_status status = kt_mongo_aggregate(mongo, ns, &pipeline, &opts, take_bound, &cutting, err);
    *count = cutting.count;
    /* The last that was looked at may have been none. */
    if (cutting.count < cutting.room)
        kt_id_free(&bounds[cutting.count]);
    bson_destroy(&pipeline);
    bson_destroy(&opts);
    return status;
}
