/* SPDX-License-Identifier: Apache-2.0 */
/* A real server for tests: the one that KEYTURN_TEST_MONGODB_URI names (scripts/mongod.py run). */
#ifndef KT_TESTS_IO_MONGO_SUPPORT_H
#define KT_TESTS_IO_MONGO_SUPPORT_H

#include "io/mongo/client.h"
#include "io/mongo/id.h"
#include "io/mongo/txn.h"

/* Skips the test when there is no server. */
const char *kt_test_uri(void);

/* An open deployment and a database of the test's own, which is dropped by kt_test_close. */
struct kt_test_server {
    struct kt_mongo *mongo;
    char db[64], ns[80]; /* ns: db + ".docs" */
    struct kt_error err;
};
void kt_test_open(struct kt_test_server *server);
void kt_test_close(struct kt_test_server *server);

/* Runs a command given as JSON; %s stands for nothing: plain text. */
bson_t *kt_test_command(struct kt_test_server *server, const char *json);
void kt_test_run(struct kt_test_server *server, const char *json);

/* {_id: value} from {"_id": ...} in Extended JSON. */
struct kt_id kt_test_id(const char *json);

#endif
