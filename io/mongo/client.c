/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kt_mongo {
    char *uri, *database;
    char name[280];
    mongoc_client_pool_t *pool;
    enum kt_topology topology;
    int version;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The driver's own log would go to stderr, which belongs to the program. */
static void start_driver(void)
{
    mongoc_log_set_handler(NULL, NULL);
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

const char *kt_mongo_uri(const struct kt_mongo *mongo)
{
    return mongo->uri;
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

static int version_of(const bson_t *reply)
{
    bson_iter_t list, item;
    int version = 0, parts = 0;
    if (bson_iter_init_find(&list, reply, "versionArray") && bson_iter_recurse(&list, &item))
        for (; parts < 3 && bson_iter_next(&item); parts++)
            version = version * 100 + (int)bson_iter_as_int64(&item);
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

enum kt_status kt_mongo_open(struct kt_mongo **out, const char *uri_text, const char *what, unsigned clients,
                             struct kt_error *err)
{
    bson_error_t error = {0};
    *out = NULL;
    pthread_once(&once, start_driver);
    mongoc_uri_t *uri = mongoc_uri_new_with_error(uri_text, &error);
    if (!uri)
        return kt_fail(err, KT_E_USAGE, "%s: the connection string is not understood: %s", what,
                       strchr(uri_text, '@') ? "see the drivers' documentation of its form" : error.message);
    struct kt_mongo *mongo = calloc(1, sizeof *mongo);
    mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_APPNAME, "keyturn");
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)clients);
    const char *database = mongoc_uri_get_database(uri);
    if (mongo) {
        mongo->uri = strdup(uri_text);
        mongo->database = database && *database ? strdup(database) : NULL;
    }
    if (mongo)
        mongo->pool = mongoc_client_pool_new_with_error(uri, &error);
    enum kt_status status = KT_OK;
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
