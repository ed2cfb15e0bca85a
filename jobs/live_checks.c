/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/live_checks.h"

#include <stdio.h>
#include <string.h>

#include "io/mongo/fault.h"

/* What stands in the way of changes alone: verify does not mind, and a dry run tells what the job will meet.
 */
static enum kt_status in_the_way(const struct kt_live *live, const struct kt_error *err)
{
    if (!live->reads_only)
        return err->status;
    if (live->job->command->writes)
        kt_job_warn(live->job, "%s", err->message);
    return KT_OK;
}

enum kt_status kt_live_check_server(const struct kt_live *live, struct kt_error *err)
{
    const char *name = kt_mongo_name(live->target);
    if (kt_mongo_topology(live->target) == KT_STANDALONE) {
        kt_fail(
            err, KT_E_USAGE,
            "%s is a standalone server, which has no transactions; restart its mongod with --replSet NAME "
            "and run rs.initiate(): a set of one member is enough",
            name);
        return in_the_way(live, err);
    }
    int version = kt_mongo_version(live->target);
    if (!version || version >= 40400)
        return KT_OK;
    kt_fail(err, KT_E_USAGE, "%s is older than MongoDB 4.4, the first that can be changed in place", name);
    return in_the_way(live, err);
}

static enum kt_status check_kind(const struct kt_live *live, const struct kt_live_ns *ns,
                                 struct kt_error *err)
{
    const char *name = ns->ns->name;
    switch (ns->facts.kind) {
    case KT_COLL_VIEW:
        return kt_fail(err, KT_E_USAGE, "%s is a view; name the collection that it shows", name);
    case KT_COLL_TIMESERIES:
        return kt_fail(err, KT_E_USAGE, "%s is a time-series collection, whose fields cannot be encrypted",
                       name);
    case KT_COLL_CAPPED:
        if (live->copies)
            return KT_OK;
        kt_fail(err, KT_E_USAGE,
                "%s is capped, and capped collections take no part in transactions; copy it into an ordinary "
                "collection first",
                name);
        return in_the_way(live, err);
    case KT_COLL_QE:
        return kt_fail(
            err, KT_E_USAGE,
            "%s uses Queryable Encryption (it has encryptedFields); the two cannot share a collection", name);
    default:
        return KT_OK;
    }
}

/* Whether a path is, leads to or lies below a field. */
static bool touches(const char *path, const char *field)
{
    size_t n = strlen(path), m = strlen(field), least = n < m ? n : m;
    return strncmp(path, field, least) == 0 &&
           (n == m || (n < m && field[n] == '.') || (m < n && path[m] == '.'));
}

static enum kt_status check_keys_of_place(const struct kt_live_ns *ns, const struct kt_rule *rule,
                                          struct kt_error *err)
{
    bson_iter_t field;
    if (touches(rule->path, "_id"))
        return kt_fail(err, KT_E_SCHEMA, "%s: %s: _id cannot change; take it out of the schema", ns->ns->name,
                       rule->path);
    if (!bson_iter_init(&field, &ns->facts.shard_key))
        return KT_OK;
    while (bson_iter_next(&field)) {
        if (touches(rule->path, bson_iter_key(&field)))
            return kt_fail(
                err, KT_E_SCHEMA,
                "%s: %s belongs to the shard key, which cannot be encrypted in place; take it out of "
                "the schema",
                ns->ns->name, rule->path);
    }
    return KT_OK;
}

static bool accepted(const struct kt_live *live, const char *path)
{
    for (const char *const *p = live->job->options.accept; p && *p; p++) {
        if (strcmp(*p, path) == 0)
            return true;
    }
    return false;
}

struct index {
    const char *name;
    bool unique, ttl;
    bson_t key, partial, weights; /* weights: what a text index is on */
    bool has_partial, has_weights;
};

static bool document_at(const bson_t *doc, const char *name, bson_t *view)
{
    bson_iter_t iter;
    uint32_t nbytes;
    const uint8_t *data;
    if (!bson_iter_init_find(&iter, doc, name) || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return false;
    bson_iter_document(&iter, &nbytes, &data);
    return bson_init_static(view, data, nbytes);
}

static bool read_index(const bson_t *doc, struct index *index)
{
    bson_iter_t iter;
    *index = (struct index){.name = "?"};
    if (bson_iter_init_find(&iter, doc, "name") && BSON_ITER_HOLDS_UTF8(&iter))
        index->name = bson_iter_utf8(&iter, NULL);
    index->unique = bson_iter_init_find(&iter, doc, "unique") && bson_iter_as_bool(&iter);
    index->ttl = bson_has_field(doc, "expireAfterSeconds");
    index->has_partial = document_at(doc, "partialFilterExpression", &index->partial);
    index->has_weights = document_at(doc, "weights", &index->weights);
    return document_at(doc, "key", &index->key);
}

/* The kind of an index on a field: "2dsphere", "text"; "" for ascending, descending and hashed. */
static const char *kind_of_field(const bson_iter_t *field)
{
    const char *kind = BSON_ITER_HOLDS_UTF8(field) ? bson_iter_utf8(field, NULL) : "";
    return strcmp(kind, "hashed") == 0 ? "" : kind;
}

static enum kt_status needs_accept(const struct kt_live *live, const struct kt_live_ns *ns, const char *path,
                                   const char *index, const char *what, struct kt_error *err)
{
    if (accepted(live, path))
        return KT_OK;
    return kt_fail(err, KT_E_USAGE, "%s: index %s: %s; drop it first, or accept that with --accept %s",
                   ns->ns->name, index, what, path);
}

static enum kt_status check_indexed_field(struct kt_live *live, const struct kt_live_ns *ns,
                                          const struct kt_rule *rule, const struct index *index,
                                          const bson_iter_t *field, struct kt_error *err)
{
    const char *kind = kind_of_field(field);
    bool random = rule->algorithm == KT_RANDOM;
    if (strncmp(kind, "2d", 2) == 0 || strcmp(kind, "geoHaystack") == 0)
        return kt_fail(err, KT_E_USAGE, "%s: index %s (%s) cannot hold encrypted values of %s; drop it first",
                       ns->ns->name, index->name, kind, rule->path);
    if (index->ttl)
        return needs_accept(live, ns, rule->path, index->name,
                            "documents expire no longer by an encrypted date", err);
    if (index->unique && random)
        return needs_accept(live, ns, rule->path, index->name,
                            "random encryption makes every value unique, so it keeps no duplicate out", err);
    if (live->job->command != &kt_command_encrypt)
        return KT_OK;
    if (random)
        kt_job_warn(live->job, "%s: index %s: random values of %s can't be searched; drop it", ns->ns->name,
                    index->name, rule->path);
    else
        kt_job_warn(live->job, "%s: index %s%s ranges, sorting and case-insensitive matches of %s end",
                    ns->ns->name, index->name, index->unique ? " (unique): still unique;" : ":", rule->path);
    return KT_OK;
}

/* Field names of a partial filter, at any depth of its operators. */
static bool filter_touches(const bson_t *filter, const char *path, int depth)
{
    bson_iter_t iter;
    if (depth > 20 || !bson_iter_init(&iter, filter))
        return false;
    while (bson_iter_next(&iter)) {
        uint32_t nbytes;
        const uint8_t *data;
        bson_t inner;
        const char *key = bson_iter_key(&iter);
        if (*key != '$' && touches(path, key))
            return true;
        if (*key != '$' || !(BSON_ITER_HOLDS_ARRAY(&iter) || BSON_ITER_HOLDS_DOCUMENT(&iter)))
            continue;
        if (BSON_ITER_HOLDS_ARRAY(&iter))
            bson_iter_array(&iter, &nbytes, &data);
        else
            bson_iter_document(&iter, &nbytes, &data);
        bson_iter_t items;
        if (!bson_init_static(&inner, data, nbytes) || !bson_iter_init(&items, &inner))
            continue;
        while (bson_iter_next(&items)) {
            bson_t item;
            if (!BSON_ITER_HOLDS_DOCUMENT(&items))
                continue;
            bson_iter_document(&items, &nbytes, &data);
            if (bson_init_static(&item, data, nbytes) && filter_touches(&item, path, depth + 1))
                return true;
        }
    }
    return false;
}

static enum kt_status check_index(struct kt_live *live, const struct kt_live_ns *ns,
                                  const struct kt_rule *rule, const struct index *index, struct kt_error *err)
{
    bson_iter_t field;
    enum kt_status status = KT_OK;
    if (index->has_partial && filter_touches(&index->partial, rule->path, 0))
        status = needs_accept(live, ns, rule->path, index->name,
                              "its partial filter compares values that will be encrypted", err);
    if (status == KT_OK && index->has_weights && bson_iter_init(&field, &index->weights)) {
        while (status == KT_OK && bson_iter_next(&field)) {
            if (touches(rule->path, bson_iter_key(&field)) || strcmp(bson_iter_key(&field), "$**") == 0)
                status = needs_accept(live, ns, rule->path, index->name,
                                      "text search finds no encrypted words", err);
        }
    }
    if (!bson_iter_init(&field, &index->key))
        return status;
    while (status == KT_OK && bson_iter_next(&field)) {
        if (touches(rule->path, bson_iter_key(&field)))
            status = check_indexed_field(live, ns, rule, index, &field, err);
    }
    return status;
}

static enum kt_status check_indexes(struct kt_live *live, const struct kt_live_ns *ns,
                                    const struct kt_rule *rule, struct kt_error *err)
{
    bson_iter_t list;
    enum kt_status status = KT_OK;
    if (!bson_iter_init(&list, &ns->facts.indexes))
        return KT_OK;
    while (status == KT_OK && bson_iter_next(&list)) {
        uint32_t nbytes;
        const uint8_t *data;
        bson_t doc;
        struct index index;
        if (!BSON_ITER_HOLDS_DOCUMENT(&list))
            continue;
        bson_iter_document(&list, &nbytes, &data);
        if (bson_init_static(&doc, data, nbytes) && read_index(&doc, &index))
            status = check_index(live, ns, rule, &index, err);
    }
    return status;
}

enum kt_status kt_live_check(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    enum kt_status status = check_kind(live, ns, err);
    const struct kt_schema *schema = ns->ns->schema;
    if (ns->facts.clustered && status == KT_OK) {
        kt_fail(err, KT_E_USAGE,
                "%s is a clustered collection, which cannot be changed in place; take a dump with mongodump "
                "and name that",
                ns->ns->name);
        status = in_the_way(live, err);
    }
    if (!schema || !live->job->command->writes)
        return status;
    for (size_t i = 0; i < kt_schema_rules(schema) && status == KT_OK; i++) {
        const struct kt_rule *rule = kt_schema_rule(schema, i);
        status = check_keys_of_place(ns, rule, err);
        if (status == KT_OK && !live->copies)
            status = check_indexes(live, ns, rule, err);
    }
    return status;
}

static enum kt_status same_place(struct kt_live *live, const struct kt_live_ns *ns, bool *same,
                                 struct kt_error *err)
{
    *same = strcmp(ns->db, ns->to_db) == 0;
    return *same ? kt_mongo_is_same(live->mongo, live->target, same, err) : KT_OK;
}

static enum kt_status create_target(struct kt_live *live, const struct kt_live_ns *ns, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply, collation;
    int code = 0;
    BSON_APPEND_UTF8(&command, "create", ns->coll);
    if (document_at(&ns->facts.options, "collation", &collation))
        BSON_APPEND_DOCUMENT(&command, "collation", &collation);
    enum kt_status status = kt_mongo_write(live->target, ns->to_db, &command, &reply, &code, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return code == KT_CODE_NAMESPACE_EXISTS ? KT_OK : status;
}

static enum kt_status found_one(void *context, const bson_t *doc, struct kt_error *err)
{
    (void)doc, (void)err;
    *(bool *)context = true;
    return KT_OK;
}

static enum kt_status is_empty(struct kt_live *live, const char *name, bool *empty, struct kt_error *err)
{
    bson_t all = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bool found = false;
    BSON_APPEND_INT64(&opts, "limit", 1);
    enum kt_status status = kt_mongo_each(live->target, name, &all, &opts, found_one, &found, err);
    *empty = !found;
    bson_destroy(&all);
    bson_destroy(&opts);
    return status;
}

enum kt_status kt_live_begin_copy(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    char name[400];
    bool same, empty = false;
    snprintf(name, sizeof name, "%s.%s", ns->to_db, ns->coll);
    enum kt_status status = same_place(live, ns, &same, err);
    if (status == KT_OK && same)
        return kt_fail(
            err, KT_E_USAGE,
            "--to is where %s is read; leave it out to change the collection in place, or name another "
            "database in its connection string",
            name);
    if (status == KT_OK)
        status = is_empty(live, name, &empty, err);
    if (status == KT_OK && !empty)
        return kt_fail(err, KT_E_EXISTS, "--to: %s on %s holds documents; empty it or name another database",
                       name, kt_mongo_name(live->target));
    if (status == KT_OK)
        kt_job_warn(live->job, "%s: indexes and options other than the collation are not copied",
                    ns->ns->name);
    return status == KT_OK ? create_target(live, ns, err) : status;
}
