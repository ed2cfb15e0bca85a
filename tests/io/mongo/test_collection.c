/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/collection.h"

#include <criterion/criterion.h>

#include "tests/io/mongo/mongo_support.h"

static enum kt_coll_kind kind_after(struct kt_test_server *server, const char *create)
{
    struct kt_coll coll;
    if (create)
        kt_test_run(server, create);
    cr_assert_eq(kt_coll_read(server->mongo, server->ns, &coll, &server->err), KT_OK, "%s",
                 server->err.message);
    enum kt_coll_kind kind = coll.kind;
    kt_coll_free(&coll);
    if (create)
        kt_test_run(server, "{\"drop\": \"docs\"}");
    return kind;
}

Test(collection, kinds_are_told_apart)
{
    struct kt_test_server server;
    kt_test_open(&server);
    cr_assert_eq(kind_after(&server, NULL), KT_COLL_MISSING);
    cr_assert_eq(kind_after(&server, "{\"create\": \"docs\"}"), KT_COLL_PLAIN);
    cr_assert_eq(kind_after(&server, "{\"create\": \"docs\", \"viewOn\": \"x\", \"pipeline\": []}"),
                 KT_COLL_VIEW);
    cr_assert_eq(kind_after(&server, "{\"create\": \"docs\", \"capped\": true, \"size\": 4096}"),
                 KT_COLL_CAPPED);
    cr_assert_eq(kind_after(&server, "{\"create\": \"docs\", \"timeseries\": {\"timeField\": \"t\"}}"),
                 KT_COLL_TIMESERIES);
    kt_test_close(&server);
}

Test(collection, indexes_and_figures_are_read)
{
    struct kt_test_server server;
    struct kt_coll coll;
    kt_test_open(&server);
    kt_test_run(&server, "{\"insert\": \"docs\", \"documents\": [{\"a\": 1}, {\"a\": 2}, {\"a\": 3}]}");
    kt_test_run(&server,
                "{\"createIndexes\": \"docs\", \"indexes\": [{\"key\": {\"a\": 1}, \"name\": \"a_1\", "
                "\"unique\": true}]}");
    cr_assert_eq(kt_coll_read(server.mongo, server.ns, &coll, &server.err), KT_OK);
    cr_assert_eq(coll.documents, 3);
    cr_assert_gt(coll.nbytes, 60);
    cr_assert_eq(coll.average_nbytes, coll.nbytes / 3);
    cr_assert_eq(bson_count_keys(&coll.indexes), 2);
    kt_coll_free(&coll);
    cr_assert_eq(kt_coll_read(server.mongo, "nonsense", &coll, &server.err), KT_E_USAGE);
    kt_coll_free(&coll);
    kt_test_close(&server);
}

Test(collection, bounds_ascend_and_cut_into_parts)
{
    struct kt_test_server server;
    struct kt_id bounds[7] = {0};
    size_t count;
    kt_test_open(&server);
    cr_assert_eq(kt_coll_cut(server.mongo, server.ns, 8, bounds, &count, &server.err), KT_OK);
    cr_assert_eq(count, 0);
    bson_t insert = BSON_INITIALIZER, docs, doc, reply;
    BSON_APPEND_UTF8(&insert, "insert", "docs");
    BSON_APPEND_ARRAY_BEGIN(&insert, "documents", &docs);
    for (int i = 0; i < 5000; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        BSON_APPEND_DOCUMENT_BEGIN(&docs, key, &doc);
        BSON_APPEND_INT32(&doc, "_id", i);
        bson_append_document_end(&docs, &doc);
    }
    bson_append_array_end(&insert, &docs);
    cr_assert_eq(kt_mongo_write(server.mongo, server.db, &insert, &reply, NULL, &server.err), KT_OK);
    bson_destroy(&reply);
    bson_destroy(&insert);
    cr_assert_eq(kt_coll_cut(server.mongo, server.ns, 8, bounds, &count, &server.err), KT_OK);
    cr_assert_eq(count, 7);
    for (size_t i = 1; i < count; i++)
        cr_assert_gt((int32_t)kt_load_le32(bounds[i].doc.data + 9),
                     (int32_t)kt_load_le32(bounds[i - 1].doc.data + 9));
    for (size_t i = 0; i < 7; i++)
        kt_id_free(&bounds[i]);
    kt_test_close(&server);
}

/* A sample of so few documents holds them all, and the only bound would be the last of them. */
Test(collection, keeps_nothing_of_a_bound_that_is_none)
{
    struct kt_test_server server;
    struct kt_id bound = {0};
    size_t count;
    kt_test_open(&server);
    kt_test_run(&server,
                "{\"insert\": \"docs\", \"documents\": [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, "
                "{}, {}, {\"_id\": {\"$maxKey\": 1}}]}");
    cr_assert_eq(kt_coll_cut(server.mongo, server.ns, 2, &bound, &count, &server.err), KT_OK);
    cr_assert_eq(count, 0);
    cr_assert_null(bound.doc.data);
    kt_test_close(&server);
}

static enum kt_status see(void *context, const char *ns, struct kt_error *err)
{
    (void)err;
    *(int *)context += strstr(ns, ".docs") != NULL;
    cr_assert_null(strstr(ns, "system."));
    return KT_OK;
}

Test(collection, names_of_a_database)
{
    struct kt_test_server server;
    int seen = 0;
    kt_test_open(&server);
    kt_test_run(&server, "{\"create\": \"docs\"}");
    kt_test_run(&server, "{\"create\": \"v\", \"viewOn\": \"docs\", \"pipeline\": []}");
    cr_assert_eq(kt_coll_names(server.mongo, server.db, see, &seen, &server.err), KT_OK);
    cr_assert_eq(seen, 1);
    kt_test_close(&server);
}
