/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/io/mongo/mongo_support.h"

Test(client, knows_what_is_a_connection_string)
{
    cr_assert(kt_mongo_is_uri("mongodb://a/"));
    cr_assert(kt_mongo_is_uri("mongodb+srv://a/"));
    cr_assert_not(kt_mongo_is_uri("dump/shop"));
    cr_assert_not(kt_mongo_is_uri("mongodb:/x"));
    cr_assert_not(kt_mongo_is_uri(NULL));
}

Test(client, splits_namespaces_at_the_first_dot)
{
    char db[64];
    const char *coll;
    cr_assert(kt_ns_split("shop.a.b", db, &coll));
    cr_assert_str_eq(db, "shop");
    cr_assert_str_eq(coll, "a.b");
    cr_assert_not(kt_ns_split("shop", db, &coll));
    cr_assert_not(kt_ns_split("shop.", db, &coll));
    cr_assert_not(kt_ns_split(".x", db, &coll));
    char longer[80];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 70, ".c", 3);
    cr_assert_not(kt_ns_split(longer, db, &coll));
}

Test(client, refuses_what_is_no_connection_string)
{
    struct kt_mongo *mongo;
    struct kt_error err;
    cr_assert_eq(kt_mongo_open(&mongo, "mongodb://", "--from", 2, NULL, &err), KT_E_USAGE);
    cr_assert_not_null(strstr(err.message, "--from"));
    cr_assert_null(mongo);
    cr_assert_eq(kt_mongo_open(&mongo, "mongodb://user:se%cret@host/?nonsense", "--from", 2, NULL, &err),
                 KT_E_USAGE);
    cr_assert_null(strstr(err.message, "cret"), "the password stands in: %s", err.message);
}

static void take_line(void *context, enum kt_log_level level, const char *line)
{
    (void)level;
    snprintf(context, 300, "%s", line);
}

Test(client, warns_of_options_that_the_driver_ignores)
{
    struct kt_mongo *mongo;
    struct kt_error err;
    char line[300] = "", uri[300];
    const struct kt_log log = {.level = KT_LOG_WARN, .write = take_line, .context = line};
    snprintf(uri, sizeof uri, "%s&%s", kt_test_uri(), "nonsense=1&alsoNot=2");
    cr_assert_eq(kt_mongo_open(&mongo, uri, "--from", 2, &log, &err), KT_OK, "%s", err.message);
    cr_assert_not_null(strstr(line, "--from: nonsense, alsonot in the connection string"), "%s", line);
    kt_mongo_close(mongo);
    *line = 0;
    cr_assert_eq(kt_mongo_open(&mongo, kt_test_uri(), "--from", 2, &log, &err), KT_OK);
    cr_assert_str_empty(line);
    kt_mongo_close(mongo);
}

Test(client, refuses_options_of_tls_that_the_driver_ignores)
{
    static const char *const wrong[] = {"tls=ture", "tlsCaFil=x.pem", "w=1&sslAllowAll=true"};
    struct kt_mongo *mongo;
    struct kt_error err;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char uri[300];
        snprintf(uri, sizeof uri, "%s&%s", kt_test_uri(), wrong[i]);
        cr_assert_eq(kt_mongo_open(&mongo, uri, "--from", 2, NULL, &err), KT_E_USAGE, "%s", wrong[i]);
        cr_assert_not_null(strstr(err.message, "--from: the "), "%s", err.message);
        cr_assert_null(mongo);
    }
}

Test(client, says_that_no_server_answers)
{
    struct kt_mongo *mongo;
    struct kt_error err;
    cr_assert_eq(
        kt_mongo_open(&mongo, "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", "--from", 2, NULL, &err),
        KT_E_NET);
    cr_assert_not_null(strstr(err.message, "127.0.0.1:1"), "%s", err.message);
}

static void *ping(void *context)
{
    bson_t command = BSON_INITIALIZER, reply;
    struct kt_error err;
    BSON_APPEND_INT32(&command, "ping", 1);
    enum kt_status status = kt_mongo_read(context, "admin", &command, NULL, &reply, &err);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status == KT_OK ? context : NULL;
}

Test(client, waits_for_a_client_whatever_the_connection_string_says)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    struct kt_mongo *mongo;
    struct kt_error err;
    char uri[300];
    snprintf(uri, sizeof uri, "%s&%s", kt_test_uri(), "waitQueueTimeoutMS=1");
    cr_assert_eq(kt_mongo_open(&mongo, uri, "--from", 1, NULL, &err), KT_OK, "%s", err.message);
    mongoc_client_t *only = kt_mongo_borrow(mongo);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ping, mongo), 0);
    usleep(50000);
    kt_mongo_give_back(mongo, only);
    for (int i = 0; i < THREADS; i++) {
        void *done;
        pthread_join(threads[i], &done);
        cr_assert_eq(done, mongo);
    }
    kt_mongo_close(mongo);
}

Test(client, reads_what_the_server_is)
{
    struct kt_test_server server;
    kt_test_open(&server);
    cr_assert_eq(kt_mongo_topology(server.mongo), KT_REPLICA_SET);
    cr_assert_str_eq(kt_mongo_name(server.mongo), "kt");
    cr_assert_geq(kt_mongo_version(server.mongo), 40000);
    kt_test_close(&server);
}

static enum kt_status count(void *context, const bson_t *doc, struct kt_error *err)
{
    (void)doc, (void)err;
    return ++*(int *)context == 3 ? kt_fail(err, KT_E_STOPPED, "enough") : KT_OK;
}

Test(client, hands_on_documents_until_told_to_stop)
{
    struct kt_test_server server;
    bson_t filter = BSON_INITIALIZER;
    int seen = 0;
    kt_test_open(&server);
    cr_assert_eq(kt_mongo_each(server.mongo, server.ns, &filter, NULL, count, &seen, &server.err), KT_OK);
    cr_assert_eq(seen, 0);
    kt_test_run(&server, "{\"insert\": \"docs\", \"documents\": [{}, {}, {}, {}]}");
    cr_assert_eq(kt_mongo_each(server.mongo, server.ns, &filter, NULL, count, &seen, &server.err),
                 KT_E_STOPPED);
    cr_assert_eq(seen, 3);
    bson_destroy(&filter);
    kt_test_close(&server);
}

Test(client, write_errors_are_errors_and_tell_their_code)
{
    struct kt_test_server server;
    bson_error_t error;
    bson_t reply;
    int code;
    kt_test_open(&server);
    bson_t *twice = bson_new_from_json(
        (const uint8_t *)"{\"insert\": \"docs\", \"documents\": [{\"_id\": 1}, {\"_id\": 1}]}", -1, &error);
    cr_assert_neq(kt_mongo_write(server.mongo, server.db, twice, &reply, &code, &server.err), KT_OK);
    cr_assert_eq(code, 11000);
    bson_destroy(&reply);
    bson_destroy(twice);
    kt_test_close(&server);
}
