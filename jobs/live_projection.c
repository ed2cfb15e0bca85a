/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields a live job reads: _id, the schema's paths, the targets of its pointers, the shard key. What a
 * projection cannot say is read as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/live.h"

/* "/owner/name" to "owner.name". NULL: it has no such form. */
static char *path_of_pointer(const char *pointer)
{
    if (*pointer != '/' || strchr(pointer, '~') || strchr(pointer, '.'))
        return NULL;
    char *path = strdup(pointer + 1);
    for (char *p = path; p && *p; p++)
        *p = *p == '/' ? '.' : *p;
    return path;
}

/* Whether one path leads through the other: a projection must not name both. */
static bool covers(const char *outer, const char *inner)
{
    size_t n = strlen(outer);
    return strncmp(outer, inner, n) == 0 && (inner[n] == 0 || inner[n] == '.');
}

struct paths {
    char **v;
    size_t count;
};

/* Adds a path (taken over) unless it is covered; drops those that it covers. */
static void add_path(struct paths *paths, char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < paths->count; i++) {
        if (covers(paths->v[i], path)) {
            free(path);
            return;
        }
    }
    for (size_t i = 0; i < paths->count; i++) {
        if (covers(path, paths->v[i]))
            free(paths->v[i]);
        else
            paths->v[kept++] = paths->v[i];
    }
    paths->count = kept;
    paths->v[paths->count++] = path;
}

static bool gather_shard_key(const bson_t *shard_key, struct paths *paths)
{
    bson_iter_t field;
    bool ok = bson_iter_init(&field, shard_key);
    while (ok && bson_iter_next(&field)) {
        if (covers("_id", bson_iter_key(&field)))
            continue;
        char *copy = strdup(bson_iter_key(&field));
        ok = copy != NULL;
        if (ok)
            add_path(paths, copy);
    }
    return ok;
}

static bool gather(const struct kt_schema *schema, const bson_t *shard_key, struct paths *paths)
{
    for (size_t i = 0; i < kt_schema_rules(schema); i++) {
        const char *path = kt_schema_rule(schema, i)->path;
        char *copy = strdup(path);
        if (!copy)
            return false;
        add_path(paths, copy);
    }
    for (size_t i = 0; i < kt_schema_pointers(schema); i++) {
        char *path = path_of_pointer(kt_schema_pointer(schema, i));
        if (!path)
            return false;
        add_path(paths, path);
    }
    return gather_shard_key(shard_key, paths);
}

/* The server stops looking once it has found as many fields as the projection names, so that a field which
 * stands twice would show once. A name that is never found keeps it looking, at every level. */
#define ABSENT "keyturn:absent"

static void add_absent(bson_t *projection, const char *path, size_t prefix_nbytes)
{
    char name[2048];
    bson_iter_t iter;
    if (prefix_nbytes + sizeof "." ABSENT > sizeof name)
        return;
    snprintf(name, sizeof name, "%.*s%s", (int)prefix_nbytes, path, ABSENT);
    if (bson_iter_init(&iter, projection) && bson_iter_find(&iter, name))
        return;
    BSON_APPEND_INT32(projection, name, 1);
}

static void add_all_absent(bson_t *projection, const struct paths *paths)
{
    add_absent(projection, "", 0);
    for (size_t i = 0; i < paths->count; i++) {
        for (const char *dot = strchr(paths->v[i], '.'); dot; dot = strchr(dot + 1, '.'))
            add_absent(projection, paths->v[i], (size_t)(dot + 1 - paths->v[i]));
    }
}

void kt_live_project(struct kt_live_ns *ns)
{
    const struct kt_schema *schema = ns->ns->schema;
    struct paths paths = {0};
    ns->whole = true;
    if (!schema || !kt_schema_dotted(schema))
        return;
    size_t most =
        kt_schema_rules(schema) + kt_schema_pointers(schema) + bson_count_keys(&ns->facts.shard_key);
    paths.v = calloc(most + 1, sizeof *paths.v);
    if (paths.v && gather(schema, &ns->facts.shard_key, &paths)) {
        BSON_APPEND_INT32(&ns->projection, "_id", 1);
        for (size_t i = 0; i < paths.count; i++)
            BSON_APPEND_INT32(&ns->projection, paths.v[i], 1);
        add_all_absent(&ns->projection, &paths);
        ns->whole = false;
    }
    for (size_t i = 0; i < paths.count; i++)
        free(paths.v[i]);
    free(paths.v);
}
