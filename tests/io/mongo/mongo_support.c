/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/io/mongo/mongo_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *kt_test_uri(void)
{
    const char *uri = getenv("KEYTURN_TEST_MONGODB_URI");
    if (!uri)
        cr_skip_test("KEYTURN_TEST_MONGODB_URI is not set (scripts/mongod.py run)");
    return uri;
}

void kt_test_open(struct kt_test_server *server)
{
    bson_oid_t oid;
    char hex[25];
    bson_oid_init(&oid, NULL);
    bson_oid_to_string(&oid, hex);
    *server = (struct kt_test_server){0};
    snprintf(server->db, sizeof server->db, "keyturn_test_%s", hex);
    snprintf(server->ns, sizeof server->ns, "%s.docs", server->db);
    cr_assert_eq(kt_mongo_open(&server->mongo, kt_test_uri(), "--from", 20, NULL, &server->err), KT_OK, "%s",
                 server->err.message);
}

bson_t *kt_test_command(struct kt_test_server *server, const char *json)
{
    bson_error_t error;
    bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &error);
    cr_assert_not_null(command, "%s: %s", json, error.message);
    bson_t out;
    enum kt_status status = kt_mongo_read(server->mongo, server->db, command, NULL, &out, &server->err);
    cr_assert_eq(status, KT_OK, "%s: %s", json, server->err.message);
    bson_t *reply = bson_copy(&out);
    bson_destroy(&out);
    bson_destroy(command);
    return reply;
}

void kt_test_run(struct kt_test_server *server, const char *json)
{
    bson_destroy(kt_test_command(server, json));
}

void kt_test_close(struct kt_test_server *server)
{
    kt_test_run(server, "{\"dropDatabase\": 1}");
    kt_mongo_close(server->mongo);
}

struct kt_id kt_test_id(const char *json)
{
    bson_error_t error;
    struct kt_id id = {0};
    bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
    cr_assert_not_null(doc, "%s: %s", json, error.message);
    cr_assert_eq(kt_id_of_doc(&id, bson_get_data(doc), doc->len), KT_OK);
    bson_destroy(doc);
    return id;
}
