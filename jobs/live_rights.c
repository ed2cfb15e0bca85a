/* SPDX-License-Identifier: Apache-2.0 */
/* Rights that a job on a server will need, looked up before it asks whether it may begin. Source: MongoDB
 * manual, connectionStatus (showPrivileges), resource documents, privilege actions. */
#include <string.h>

#include "jobs/live_checks.h"

/* Of the user of one deployment. */
struct rights {
    struct kt_mongo *mongo;
    bson_t reply;
    bson_iter_t privileges;
    char user[130];
    bool known; /* false: no authentication, or the server does not say */
};

static enum kt_status ask(struct kt_mongo *mongo, struct rights *rights, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER;
    bson_iter_t iter, users, user, name;
    BSON_APPEND_INT32(&command, "connectionStatus", 1);
    BSON_APPEND_BOOL(&command, "showPrivileges", true);
    *rights = (struct rights){.mongo = mongo, .user = "?"};
    enum kt_status status = kt_mongo_read(mongo, "admin", &command, NULL, &rights->reply, err);
    bson_destroy(&command);
    if (status != KT_OK || !bson_iter_init(&iter, &rights->reply) ||
        !bson_iter_find_descendant(&iter, "authInfo.authenticatedUsers.0", &users))
        return status;
    if (BSON_ITER_HOLDS_DOCUMENT(&users) && bson_iter_recurse(&users, &user)) {
        name = user;
        if (bson_iter_find(&name, "user") && BSON_ITER_HOLDS_UTF8(&name))
            snprintf(rights->user, sizeof rights->user, "%s", bson_iter_utf8(&name, NULL));
    }
    rights->known =
        bson_iter_init(&iter, &rights->reply) &&
        bson_iter_find_descendant(&iter, "authInfo.authenticatedUserPrivileges", &rights->privileges) &&
        BSON_ITER_HOLDS_ARRAY(&rights->privileges);
    return status;
}

/* Of a resource document: an empty name stands for all. */
static bool names(const bson_iter_t *resource, const char *key, const char *wanted)
{
    bson_iter_t field;
    const char *name = NULL;
    if (bson_iter_recurse(resource, &field) && bson_iter_find(&field, key) && BSON_ITER_HOLDS_UTF8(&field))
        name = bson_iter_utf8(&field, NULL);
    return name && (*name == 0 || strcmp(name, wanted) == 0);
}

static bool covers(const bson_iter_t *privilege, const char *db, const char *coll)
{
    bson_iter_t resource, any;
    if (!bson_iter_recurse(privilege, &resource) || !bson_iter_find(&resource, "resource") ||
        !BSON_ITER_HOLDS_DOCUMENT(&resource))
        return false;
    if (bson_iter_recurse(&resource, &any) && bson_iter_find(&any, "anyResource"))
        return true;
    return names(&resource, "db", db) && names(&resource, "collection", coll);
}

static bool allows(const bson_iter_t *privilege, const char *action)
{
    bson_iter_t actions, item;
    if (!bson_iter_recurse(privilege, &actions) || !bson_iter_find(&actions, "actions") ||
        !BSON_ITER_HOLDS_ARRAY(&actions) || !bson_iter_recurse(&actions, &item))
        return false;
    while (bson_iter_next(&item)) {
        const char *name = BSON_ITER_HOLDS_UTF8(&item) ? bson_iter_utf8(&item, NULL) : "";
        if (strcmp(name, action) == 0 || strcmp(name, "anyAction") == 0)
            return true;
    }
    return false;
}

static bool may(const struct rights *rights, const char *action, const char *db, const char *coll)
{
    bson_iter_t privilege;
    if (!bson_iter_recurse(&rights->privileges, &privilege))
        return true;
    while (bson_iter_next(&privilege)) {
        if (BSON_ITER_HOLDS_DOCUMENT(&privilege) && covers(&privilege, db, coll) &&
            allows(&privilege, action))
            return true;
    }
    return false;
}

/* A dry run needs none of them: it tells what the job will meet. */
static enum kt_status need(struct kt_live *live, const struct rights *rights, const char *const *actions,
                           const char *db, const char *coll, struct kt_error *err)
{
    for (; rights->known && *actions; actions++) {
        if (may(rights, *actions, db, coll))
            continue;
        enum kt_status status =
            kt_fail(err, KT_E_DENIED,
                    "%s: user %s lacks the right \"%s\" on %s.%s; grant the role %s on the database %s%s",
                    kt_mongo_name(rights->mongo), rights->user, *actions, db, coll,
                    strcmp(*actions, "find") == 0 && !actions[1] ? "read" : "readWrite", db,
                    strcmp(db, live->state_db) == 0 ? ", or name another with --checkpoint" : "");
        if (!live->job->options.dry_run)
            return status;
        kt_job_warn(live->job, "%s", err->message);
        return KT_OK;
    }
    return KT_OK;
}

static enum kt_status need_source(struct kt_live *live, struct kt_error *err)
{
    static const char *const changes[] = {"find", "update", NULL};
    static const char *const reads[] = {"find", NULL};
    struct rights rights;
    enum kt_status status = ask(live->mongo, &rights, err);
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++)
        status = need(live, &rights, live->copies ? reads : changes, live->namespaces[i].db,
                      live->namespaces[i].coll, err);
    bson_destroy(&rights.reply);
    return status;
}

static enum kt_status need_target(struct kt_live *live, struct kt_error *err)
{
    static const char *const fills[] = {"createCollection", "find", "insert", NULL};
    static const char *const keeps[] = {"createCollection", "find", "insert", "update", "remove", NULL};
    struct rights rights;
    enum kt_status status = ask(live->target, &rights, err);
    for (size_t i = 0; live->copies && i < live->namespaces_count && status == KT_OK; i++)
        status = need(live, &rights, fills, live->namespaces[i].to_db, live->namespaces[i].coll, err);
    if (status == KT_OK)
        status = need(live, &rights, keeps, live->state_db, KT_STATE_CHECKPOINTS, err);
    if (status == KT_OK)
        status = need(live, &rights, keeps, live->state_db, KT_STATE_FAILURES, err);
    bson_destroy(&rights.reply);
    return status;
}

enum kt_status kt_live_check_rights(struct kt_live *live, struct kt_error *err)
{
    if (!live->job->command->writes)
        return KT_OK;
    enum kt_status status = need_source(live, err);
    return status == KT_OK ? need_target(live, err) : status;
}
