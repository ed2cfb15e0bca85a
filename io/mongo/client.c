/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The driver looks for a server no longer than this at a time, so that whoever waits can stop waiting. */
#define SELECTION_MS 2000
#define PATIENCE_MS 30000

struct kt_mongo {
    char *uri, *database;
    char name[280];
    mongoc_client_pool_t *pool;
    uint64_t patience_ns;
    atomic_bool given_up;
    enum kt_topology topology;
    int version;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* While this thread has a connection string read: where the names of options go that the driver ignores. */
static _Thread_local char (*ignored)[200];

/* The driver's own log would go to stderr, which belongs to the program. Of an option that it ignores it
 * says so nowhere else; its message quotes the name first, and maybe a value. */
static void take_log(mongoc_log_level_t level, const char *domain, const char *message, void *context)
{
    (void)level, (void)domain, (void)context;
    const char *name = ignored ? strchr(message, '"') : NULL, *end = name ? strchr(name + 1, '"') : NULL;
    size_t at = ignored ? strlen(*ignored) : 0;
    if (end)
        snprintf(*ignored + at, sizeof *ignored - at, "%s%.*s", at ? ", " : "", (int)(end - name - 1),
                 name + 1);
}

static void start_driver(void)
{
    mongoc_log_set_handler(take_log, NULL);
    mongoc_init();
}

bool kt_mongo_is_uri(const char *name)
{
    return name && (strncmp(name, "mongodb://", 10) == 0 || strncmp(name, "mongodb+srv://", 14) == 0);
}

bool kt_ns_split(const char *ns, char db[64], const char **coll)
{
    const char *dot = strchr(ns, '.');
    if (!dot || dot == ns || dot[1] == 0 || dot - ns > 63)
        return false;
    memcpy(db, ns, (size_t)(dot - ns));
    db[dot - ns] = 0;
    *coll = dot + 1;
    return true;
}

mongoc_client_t *kt_mongo_borrow(struct kt_mongo *mongo)
{
    return mongoc_client_pool_pop(mongo->pool);
}

void kt_mongo_give_back(struct kt_mongo *mongo, mongoc_client_t *client)
{
    if (client)
        mongoc_client_pool_push(mongo->pool, client);
}

enum kt_topology kt_mongo_topology(const struct kt_mongo *mongo)
{
    return mongo->topology;
}

const char *kt_mongo_name(const struct kt_mongo *mongo)
{
    return mongo->name;
}

enum kt_status kt_mongo_hosts(const struct kt_mongo *mongo, struct kt_buf *out)
{
    mongoc_uri_t *uri = mongoc_uri_new(mongo->uri);
    enum kt_status status = uri ? KT_OK : KT_E_NOMEM;
    const char *srv = uri ? mongoc_uri_get_srv_hostname(uri) : NULL;
    if (srv)
        status = kt_buf_append(out, srv, strlen(srv));
    for (const mongoc_host_list_t *at = uri && !srv ? mongoc_uri_get_hosts(uri) : NULL; at && status == KT_OK;
         at = at->next) {
        status = kt_buf_append(out, at->host_and_port, strlen(at->host_and_port));
        if (status == KT_OK && at->next)
            status = kt_buf_append(out, ",", 1);
    }
    mongoc_uri_destroy(uri);
    return status == KT_OK ? kt_buf_append(out, "", 1) : status;
}

const char *kt_mongo_uri(const struct kt_mongo *mongo)
{
    return mongo->uri;
}

uint64_t kt_mongo_patience_ns(const struct kt_mongo *mongo)
{
    return mongo->patience_ns;
}

void kt_mongo_give_up(struct kt_mongo *mongo)
{
    atomic_store(&mongo->given_up, true);
}

bool kt_mongo_is_given_up(const struct kt_mongo *mongo)
{
    return atomic_load(&mongo->given_up);
}

const char *kt_mongo_database(const struct kt_mongo *mongo)
{
    return mongo->database;
}

/* hello's topologyVersion.processId is a server process's own. */
static enum kt_status process_id(struct kt_mongo *mongo, bson_oid_t *id, struct kt_error *err)
{
    bson_t command = BSON_INITIALIZER, reply;
    bson_iter_t iter, at;
    BSON_APPEND_INT32(&command, "hello", 1);
    enum kt_status status = kt_mongo_read(mongo, "admin", &command, NULL, &reply, err);
    memset(id, 0, sizeof *id);
    if (status == KT_OK && bson_iter_init(&iter, &reply) &&
        bson_iter_find_descendant(&iter, "topologyVersion.processId", &at) && BSON_ITER_HOLDS_OID(&at))
        bson_oid_copy(bson_iter_oid(&at), id);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

enum kt_status kt_mongo_is_same(struct kt_mongo *a, struct kt_mongo *b, bool *same, struct kt_error *err)
{
    bson_oid_t left, right;
    enum kt_status status = process_id(a, &left, err);
    if (status == KT_OK)
        status = process_id(b, &right, err);
    *same = status == KT_OK && bson_oid_equal(&left, &right);
    return status;
}

int kt_mongo_version(const struct kt_mongo *mongo)
{
    return mongo->version;
}

/* 0: the server does not say, or no such version. */
static int version_of(const bson_t *reply)
{
    bson_iter_t list, item;
    int version = 0, parts = 0;
    if (!bson_iter_init_find(&list, reply, "versionArray") || !bson_iter_recurse(&list, &item))
        return 0;
    for (; parts < 3 && bson_iter_next(&item); parts++) {
        int64_t part = bson_iter_as_int64(&item);
        if (part < 0 || part > 99)
            return 0;
        version = version * 100 + (int)part;
    }
    return parts == 3 ? version : 0;
}

static void take_hello(struct kt_mongo *mongo, const bson_t *reply, const mongoc_uri_t *uri)
{
    bson_iter_t iter;
    const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);
    mongo->topology = KT_STANDALONE;
    snprintf(mongo->name, sizeof mongo->name, "%s", host ? host->host_and_port : "the server");
    if (bson_iter_init_find(&iter, reply, "setName") && BSON_ITER_HOLDS_UTF8(&iter)) {
        mongo->topology = KT_REPLICA_SET;
        snprintf(mongo->name, sizeof mongo->name, "%s", bson_iter_utf8(&iter, NULL));
    } else if (bson_iter_init_find(&iter, reply, "msg") && BSON_ITER_HOLDS_UTF8(&iter) &&
               strcmp(bson_iter_utf8(&iter, NULL), "isdbgrid") == 0)
        mongo->topology = KT_SHARDED;
}

static enum kt_status ask_who(struct kt_mongo *mongo, const mongoc_uri_t *uri, struct kt_error *err)
{
    bson_t command, reply;
    const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);
    snprintf(mongo->name, sizeof mongo->name, "%s",
             host ? host->host_and_port : mongoc_uri_get_srv_hostname(uri));
    bson_init(&command);
    BSON_APPEND_INT32(&command, "hello", 1);
    enum kt_status status = kt_mongo_read(mongo, "admin", &command, NULL, &reply, err);
    if (status == KT_OK)
        take_hello(mongo, &reply, uri);
    bson_destroy(&reply);
    bson_reinit(&command);
    if (status == KT_OK) {
        BSON_APPEND_INT32(&command, "buildInfo", 1);
        status = kt_mongo_read(mongo, "admin", &command, NULL, &reply, err);
        mongo->version = status == KT_OK ? version_of(&reply) : 0;
        bson_destroy(&reply);
    }
    bson_destroy(&command);
    return status;
}

/* What we need of a connection, whatever the URI says of it: each command says its own write concern. */
static void settle(mongoc_uri_t *uri, unsigned clients)
{
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_read_concern_t *concern = mongoc_read_concern_new();
    mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_APPNAME, "keyturn");
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)clients);
    /* Whoever borrows a client waits for it: a pool that gives up hands out NULL, which the driver aborts on.
     */
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, 0);
    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_uri_set_read_concern(uri, concern);
    if (mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, PATIENCE_MS) > SELECTION_MS)
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, SELECTION_MS);
    mongoc_read_prefs_destroy(primary);
    mongoc_read_concern_destroy(concern);
}

static uint64_t patience_of(const mongoc_uri_t *uri)
{
    int32_t ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, PATIENCE_MS);
    return (uint64_t)(ms > 0 ? ms : PATIENCE_MS) * 1000000;
}

/* Whoever asked for TLS and mistyped it must not get a connection without. */
static bool names_tls(const char *names)
{
    for (const char *name = names; name; name = strchr(name, ' ') ? strchr(name, ' ') + 1 : NULL) {
        if (strncasecmp(name, "tls", 3) == 0 || strncasecmp(name, "ssl", 3) == 0)
            return true;
    }
    return false;
}

static enum kt_status read_uri(mongoc_uri_t **uri, const char *text, const char *what,
                               const struct kt_log *log, struct kt_error *err)
{
    bson_error_t error = {0};
    char names[200] = "";
    pthread_once(&once, start_driver);
    ignored = &names;
    *uri = mongoc_uri_new_with_error(text, &error);
    ignored = NULL;
    if (!*uri)
        return kt_fail(err, KT_E_USAGE, "%s: the connection string is not understood: %s", what,
                       strchr(text, '@') ? "see the drivers' documentation of its form" : error.message);
    if (names_tls(names)) {
        mongoc_uri_destroy(*uri);
        return kt_fail(err, KT_E_USAGE,
                       "%s: the driver does not know %s in the connection string, or not with that value",
                       what, names);
    }
    if (*names)
        kt_log(log, KT_LOG_WARN,
               "%s: %s in the connection string has no effect: the driver does not know it, or not with that "
               "value",
               what, names);
    return KT_OK;
}

enum kt_status kt_mongo_open(struct kt_mongo **out, const char *uri_text, const char *what, unsigned clients,
                             const struct kt_log *log, struct kt_error *err)
{
    bson_error_t error = {0};
    mongoc_uri_t *uri;
    *out = NULL;
    enum kt_status status = read_uri(&uri, uri_text, what, log, err);
    if (status != KT_OK)
        return status;
    struct kt_mongo *mongo = calloc(1, sizeof *mongo);
    const char *database = mongoc_uri_get_database(uri);
    if (mongo) {
        mongo->uri = strdup(uri_text);
        mongo->database = database && *database ? strdup(database) : NULL;
        mongo->patience_ns = patience_of(uri);
    }
    settle(uri, clients);
    if (mongo)
        mongo->pool = mongoc_client_pool_new_with_error(uri, &error);
    if (!mongo || !mongo->uri)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    else if (!mongo->pool)
        status = kt_fail(err, KT_E_USAGE, "%s: %s", what, error.message);
    if (status == KT_OK) {
        mongoc_client_pool_set_error_api(mongo->pool, MONGOC_ERROR_API_VERSION_2);
        status = ask_who(mongo, uri, err);
    }
    mongoc_uri_destroy(uri);
    if (status != KT_OK) {
        kt_mongo_close(mongo);
        return status;
    }
    *out = mongo;
    return KT_OK;
}

void kt_mongo_close(struct kt_mongo *mongo)
{
    if (!mongo)
        return;
    if (mongo->pool)
        mongoc_client_pool_destroy(mongo->pool);
    free(mongo->uri);
    free(mongo->database);
    free(mongo);
}
