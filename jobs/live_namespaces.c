/* SPDX-License-Identifier: Apache-2.0 */
/* Which collections of a server a live job works on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mongo/query.h"
#include "jobs/live.h"
#include "jobs/live_checks.h"
#include "jobs/namespaces.h"

static bool is_systems_own(const char *db)
{
    return strcmp(db, "admin") == 0 || strcmp(db, "local") == 0 || strcmp(db, "config") == 0;
}

/* The job's state: the rest of its database may be data. */
static bool is_state(const struct kt_live *live, const char *ns)
{
    size_t nbytes = strlen(live->state_db);
    const char *name = strncmp(ns, live->state_db, nbytes) == 0 && ns[nbytes] == '.' ? ns + nbytes + 1 : "";
    return strcmp(name, KT_STATE_CHECKPOINTS) == 0 || strcmp(name, KT_STATE_FAILURES) == 0;
}

/* Adds a collection of a job without a schema, if the options want it. The key vault is none of its data. */
static enum kt_status add_named(void *context, const char *ns, struct kt_error *err)
{
    struct kt_live *live = context;
    struct kt_job *job = live->job;
    if (!kt_job_includes(job, ns) || is_state(live, ns) ||
        strcmp(ns, job->options.key_vault_namespace) == 0 || kt_job_namespace(job, kt_span_str(ns)))
        return KT_OK;
    return kt_job_add_namespace(job, ns, NULL, err);
}

static enum kt_status all_of_database(struct kt_live *live, const char *db, kt_name_fn each, void *context,
                                      struct kt_error *err)
{
    return is_systems_own(db) ? KT_OK : kt_coll_names(live->mongo, db, each, context, err);
}

static enum kt_status all_collections(struct kt_live *live, kt_name_fn each, void *context,
                                      struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    bson_iter_t list, item, name;
    BSON_APPEND_INT32(&command, "listDatabases", 1);
    BSON_APPEND_BOOL(&command, "nameOnly", true);
    BSON_APPEND_BOOL(&command, "authorizedDatabases", true);
    enum kt_status status = kt_mongo_read(live->mongo, "admin", &command, NULL, &reply, err);
    if (status == KT_OK && bson_iter_init_find(&list, &reply, "databases") &&
        bson_iter_recurse(&list, &item)) {
        while (status == KT_OK && bson_iter_next(&item)) {
            if (bson_iter_recurse(&item, &name) && bson_iter_find(&name, "name") &&
                BSON_ITER_HOLDS_UTF8(&name))
                status = all_of_database(live, bson_iter_utf8(&name, NULL), each, context, err);
        }
    }
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_live_each_collection(struct kt_live *live, kt_name_fn each, void *context,
                                       struct kt_error *err)
{
    const char *const *include = live->job->options.ns_include;
    enum kt_status status = KT_OK;
    bool patterns = !include || !*include;
    for (const char *const *p = include; p && *p; p++)
        patterns |= strchr(*p, '*') != NULL;
    if (patterns)
        return all_collections(live, each, context, err);
    for (const char *const *p = include; *p && status == KT_OK; p++)
        status = each(context, *p, err);
    return status;
}

static enum kt_status add_of_schema(struct kt_live *live, struct kt_error *err)
{
    struct kt_job *job = live->job;
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < kt_schema_map_count(job->schemas) && status == KT_OK; i++) {
        const struct kt_schema *schema = kt_schema_map_at(job->schemas, i);
        if (kt_job_includes(job, kt_schema_ns(schema)))
            status = kt_job_add_namespace(job, kt_schema_ns(schema), schema, err);
    }
    return status;
}

/* What the server cannot count in seconds is shown as if everything were found. */
static enum kt_status count_documents(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    uint64_t found;
    ns->documents = ns->facts.documents;
    if (!live->query)
        return KT_OK;
    enum kt_status status = kt_query_check(live->mongo, ns->ns->name, live->query_option, live->query, err);
    if (status == KT_OK)
        status = kt_query_count(live->mongo, ns->ns->name, live->query_option, live->query, &ns->by_query,
                                &found, err);
    if (status == KT_OK && ns->by_query)
        ns->documents = found;
    else if (status == KT_OK)
        kt_job_warn(live->job,
                    "%s: counting what %s finds takes too long; figures before the start are those of "
                    "all documents",
                    ns->ns->name, live->query_option);
    return status;
}

static enum kt_status read_facts(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    kt_ns_split(ns->ns->name, ns->db, &ns->coll);
    const char *to_db = live->copies ? kt_mongo_database(live->target) : NULL;
    snprintf(ns->to_db, sizeof ns->to_db, "%s", to_db ? to_db : ns->db);
    enum kt_status status = kt_coll_read(live->mongo, ns->ns->name, &ns->facts, err);
    if (status != KT_OK)
        return status;
    if (ns->facts.kind == KT_COLL_MISSING && live->job->command == &kt_command_rewrap)
        return kt_fail(err, KT_E_USAGE, "%s holds no %s; name the key vault with --key-vault-namespace",
                       kt_mongo_name(live->mongo), ns->ns->name);
    if (ns->facts.kind == KT_COLL_MISSING) {
        kt_job_warn(live->job, "%s: the schema names %s, which is not there: nothing is done for it",
                    kt_mongo_name(live->mongo), ns->ns->name);
        return KT_OK;
    }
    /* A dry run tells exact sizes, for which it must see all of a document. */
    ns->whole = true;
    if (!live->job->options.dry_run && !live->copies)
        kt_live_project(ns);
    status = kt_live_check(live, ns, err);
    if (status == KT_OK)
        status = count_documents(live, ns, err);
    live->job->team.nbytes_total += ns->documents;
    return status;
}

enum kt_status kt_live_name_namespaces(struct kt_live *live, struct kt_error *err)
{
    struct kt_job *job = live->job;
    enum kt_status status;
    if (job->command == &kt_command_rewrap)
        status = kt_job_add_namespace(job, job->options.key_vault_namespace, NULL, err);
    else
        status =
            job->schemas ? add_of_schema(live, err) : kt_live_each_collection(live, add_named, live, err);
    if (status != KT_OK)
        return status;
    size_t count = job->namespaces_count;
    if (count == 0 && (job->options.ns_include || job->options.ns_exclude))
        return kt_fail(err, KT_E_USAGE, "--ns-include and --ns-exclude leave no namespace to work on");
    live->namespaces = KT_LIVE_NEW(struct kt_live_ns, count);
    if (!live->namespaces)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < count && status == KT_OK; i++) {
        struct kt_live_ns *ns = &live->namespaces[live->namespaces_count++];
        ns->ns = &job->namespaces[i];
        bson_init(&ns->projection);
        status = read_facts(live, ns, err);
    }
    if (status == KT_OK && job->command == &kt_command_verify && count == 0)
        status = kt_fail(err, KT_E_USAGE, "%s holds no namespace of the schema: nothing to verify",
                         kt_mongo_name(live->mongo));
    return status;
}

void kt_live_free_namespaces(struct kt_live *live)
{
    for (size_t i = 0; i < live->namespaces_count; i++) {
        struct kt_live_ns *ns = &live->namespaces[i];
        bson_destroy(&ns->projection);
        kt_coll_free(&ns->facts);
        for (size_t r = 0; r < ns->ranges_count; r++)
            kt_state_range_free(&ns->ranges[r]);
        free(ns->ranges);
        kt_state_job_free(&ns->state);
        kt_counts_free(&ns->sample);
        free(ns->plan_paths);
    }
    free(live->plan);
    free(live->namespaces);
}
