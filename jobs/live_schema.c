/* SPDX-License-Identifier: Apache-2.0 */
/* --schema-from-server: the collections' $jsonSchema validators are the encryption schema, as drivers take
 * them when no schemaMap is given. */
#include <stdlib.h>
#include <string.h>

#include "io/mongo/reply.h"
#include "jobs/live.h"
#include "jobs/namespaces.h"

#define DEPTH_MAX 100

/* Whether the keyword stands anywhere in a schema. */
static bool mentions_encrypt(const bson_t *schema, int depth)
{
    bson_iter_t iter;
    if (depth > DEPTH_MAX || !bson_iter_init(&iter, schema))
        return false;
    while (bson_iter_next(&iter)) {
        bson_t inner;
        if (strcmp(bson_iter_key(&iter), "encrypt") == 0 && BSON_ITER_HOLDS_DOCUMENT(&iter))
            return true;
        if (kt_reply_view(&iter, &inner) && mentions_encrypt(&inner, depth + 1))
            return true;
    }
    return false;
}

struct reading {
    struct kt_live *live;
    bson_t *map;
};

/* Adds a collection's schema, if it has one that encrypts. */
static enum kt_status add_schema(void *context, const char *ns, struct kt_error *err)
{
    struct reading *reading = context;
    struct kt_live *live = reading->live;
    struct kt_coll coll;
    bson_iter_t iter, at;
    bson_t schema;
    if (!kt_job_includes(live->job, ns))
        return KT_OK;
    enum kt_status status = kt_coll_read(live->mongo, ns, &coll, err);
    bool found = status == KT_OK && bson_iter_init(&iter, &coll.options) &&
                 bson_iter_find_descendant(&iter, "validator.$jsonSchema", &at) &&
                 kt_reply_view(&at, &schema) && mentions_encrypt(&schema, 0);
    if (found && !bson_append_document(reading->map, ns, -1, &schema))
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    kt_coll_free(&coll);
    return status;
}

/* Every rule of one stands in the other. */
static bool has_rules_of(const struct kt_schema *a, const struct kt_schema *b)
{
    for (size_t i = 0; i < kt_schema_rules(b); i++) {
        const struct kt_rule *want = kt_schema_rule(b, i);
        bool found = false;
        for (size_t k = 0; k < kt_schema_rules(a) && !found; k++) {
            const struct kt_rule *rule = kt_schema_rule(a, k);
            bool pointers = rule->pointer != KT_NO_POINTER && want->pointer != KT_NO_POINTER;
            found = strcmp(rule->path, want->path) == 0 && rule->algorithm == want->algorithm &&
                    rule->types == want->types &&
                    (pointers ? strcmp(kt_schema_pointer(a, rule->pointer),
                                       kt_schema_pointer(b, want->pointer)) == 0
                              : rule->pointer == want->pointer &&
                                    memcmp(rule->key_id, want->key_id, sizeof rule->key_id) == 0);
        }
        if (!found)
            return false;
    }
    return true;
}

/* With a schemaMap too, both must say the same of every collection. */
static enum kt_status compare(const struct kt_live *live, const struct kt_schema_map *server,
                              struct kt_error *err)
{
    const struct kt_schema_map *given = live->job->schemas;
    const struct kt_schema_map *both[2][2] = {{given, server}, {server, given}};
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < kt_schema_map_count(both[side][0]); i++) {
            const struct kt_schema *schema = kt_schema_map_at(both[side][0], i);
            const struct kt_schema *other = kt_schema_map_find(both[side][1], kt_schema_ns(schema));
            if (!kt_job_includes(live->job, kt_schema_ns(schema)))
                continue;
            if (!other || !has_rules_of(schema, other) || !has_rules_of(other, schema))
                return kt_fail(err, KT_E_SCHEMA,
                               "%s: --schema-map and the validator on the server say different things; mend "
                               "one of them, "
                               "or name one alone",
                               kt_schema_ns(schema));
        }
    }
    return KT_OK;
}

static enum kt_status take(struct kt_live *live, struct kt_error *err)
{
    struct kt_job *job = live->job;
    struct kt_schema_map *server;
    struct kt_span bytes = kt_span_of(bson_get_data(live->schemas), live->schemas->len);
    enum kt_status status = kt_schema_map_new(&server, bytes, kt_mongo_name(live->mongo), err);
    if (status != KT_OK)
        return status;
    if (job->schemas) {
        status = compare(live, server, err);
        kt_schema_map_free(server);
        return status;
    }
    job->schemas = server;
    /* It decides the outcome, so it is part of what tells this job from another. */
    job->options.schema_map = (struct kt_document){bytes, kt_mongo_name(live->mongo)};
    if (kt_schema_map_count(server) == 0)
        return kt_fail(err, KT_E_USAGE, "%s: no collection has a validator with encrypt; give --schema-map",
                       kt_mongo_name(live->mongo));
    return KT_OK;
}

enum kt_status kt_live_read_schemas(struct kt_live *live, struct kt_error *err)
{
    if (!live->job->options.schema_from_server)
        return KT_OK;
    live->schemas = bson_new();
    struct reading reading = {live, live->schemas};
    enum kt_status status = kt_live_each_collection(live, add_schema, &reading, err);
    return status == KT_OK ? take(live, err) : status;
}
