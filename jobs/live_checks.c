/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/live_checks.h"

#include <stdio.h>
#include <string.h>

#include "io/mongo/fault.h"
#include "jobs/indexes.h"

/* Key documents that a server writes in a second of a transaction's life: a third of what was seen. */
#define KEYS_A_SECOND 15000

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

static enum kt_status check_keys_of_place(const struct kt_live_ns *ns, const struct kt_rule *rule,
                                          struct kt_error *err)
{
    bson_iter_t field;
    if (kt_path_touches(rule->path, "_id"))
        return kt_fail(err, KT_E_SCHEMA, "%s: %s: _id cannot change; take it out of the schema", ns->ns->name,
                       rule->path);
    if (!bson_iter_init(&field, &ns->facts.shard_key))
        return KT_OK;
    while (bson_iter_next(&field)) {
        if (kt_path_touches(rule->path, bson_iter_key(&field)))
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

struct place {
    struct kt_live *live;
    const struct kt_live_ns *ns;
};

static enum kt_status index_found(void *context, enum kt_index_loss loss, const struct kt_rule *rule,
                                  const char *index, const char *what, struct kt_error *err)
{
    const struct place *place = context;
    const char *ns = place->ns->ns->name;
    if (loss == KT_INDEX_BREAKS)
        return kt_fail(err, KT_E_USAGE, "%s: index %s: %s; drop it first", ns, index, what);
    if (loss == KT_INDEX_USELESS && !accepted(place->live, rule->path))
        return kt_fail(err, KT_E_USAGE, "%s: index %s: %s; drop it first, or accept that with --accept %s",
                       ns, index, what, rule->path);
    if (loss == KT_INDEX_LESS)
        kt_job_warn(place->live->job, "%s: index %s: %s", ns, index, what);
    return KT_OK;
}

/* rule NULL: every path. */
static enum kt_status check_indexes(struct kt_live *live, const struct kt_live_ns *ns,
                                    const struct kt_rule *rule, struct kt_error *err)
{
    struct place place = {live, ns};
    bool decrypts = live->job->command == &kt_command_decrypt;
    return live->copies ? KT_OK
                        : kt_indexes_search(&ns->facts.indexes, rule, decrypts, index_found, &place, err);
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
    if (status == KT_OK && !schema && live->job->command == &kt_command_decrypt)
        return check_indexes(live, ns, NULL, err);
    if (!schema || !live->job->command->writes)
        return status;
    for (size_t i = 0; i < kt_schema_rules(schema) && status == KT_OK; i++) {
        const struct kt_rule *rule = kt_schema_rule(schema, i);
        status = check_keys_of_place(ns, rule, err);
        if (status == KT_OK)
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
    if (kt_document_at(&ns->facts.options, "collation", &collation))
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

enum kt_status kt_live_check_copy(struct kt_live *live, const struct kt_live_ns *ns, struct kt_error *err)
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
    return status;
}

enum kt_status kt_live_begin_copy(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    enum kt_status status = kt_live_check_copy(live, ns, err);
    if (status == KT_OK)
        kt_job_warn(live->job, "%s: indexes and options other than the collation are not copied",
                    ns->ns->name);
    return status == KT_OK ? create_target(live, ns, err) : status;
}

static enum kt_status lifetime(struct kt_live *live, int64_t *seconds, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    bson_iter_t iter;
    BSON_APPEND_INT32(&command, "getParameter", 1);
    BSON_APPEND_INT32(&command, "transactionLifetimeLimitSeconds", 1);
    enum kt_status status = kt_mongo_read(live->mongo, "admin", &command, NULL, &reply, err);
    *seconds = 60;
    if (status == KT_OK && bson_iter_init_find(&iter, &reply, "transactionLifetimeLimitSeconds"))
        *seconds = bson_iter_as_int64(&iter);
    bson_destroy(&reply);
    bson_destroy(&command);
    /* Who may not ask gets the preset. */
    return status == KT_E_DENIED ? KT_OK : status;
}

enum kt_status kt_live_check_whole(struct kt_live *live, uint64_t keys, struct kt_error *err)
{
    int64_t seconds;
    enum kt_status status = lifetime(live, &seconds, err);
    uint64_t most = (uint64_t)(seconds > 0 ? seconds : 1) * KEYS_A_SECOND;
    if (status != KT_OK || keys <= most)
        return status;
    return kt_fail(
        err, KT_E_USAGE,
        "--all-or-nothing: %llu DEKs do not fit into one transaction's lifetime of %lld s; %llu do: choose "
        "fewer with --filter or --only, or leave the option out",
        (unsigned long long)keys, (long long)seconds, (unsigned long long)most);
}
