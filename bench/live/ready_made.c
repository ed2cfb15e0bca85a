/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of bench/live/in_place.py: a libmongoc client that only sends ready-made `$set` updates by _id in
 * bulks of 1,000, over several connections: ready_made URI DB COLLECTION DOCUMENTS CONNECTIONS. _ids are 0,
 * 1, ...; three fields become BinData of subtype 6 with the lengths that keyturn's have. Prints the seconds.
 */
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BULK 1000
#define VALUE_NBYTES 82

struct worker {
    mongoc_client_pool_t *pool;
    const char *db, *coll;
    int first, end;
    bool failed;
    pthread_t thread;
};

static void *work(void *context)
{
    struct worker *w = context;
    uint8_t value[VALUE_NBYTES] = {2};
    mongoc_client_t *client = mongoc_client_pool_pop(w->pool);
    mongoc_collection_t *coll = mongoc_client_get_collection(client, w->db, w->coll);
    for (int i = w->first; i < w->end && !w->failed; i += BULK) {
        mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(coll, NULL);
        for (int n = i; n < i + BULK && n < w->end; n++) {
            bson_t *q = BCON_NEW("_id", BCON_INT32(n));
            bson_t u = BSON_INITIALIZER, set;
            bson_append_document_begin(&u, "$set", -1, &set);
            bson_append_binary(&set, "a", -1, BSON_SUBTYPE_ENCRYPTED, value, sizeof value);
            bson_append_binary(&set, "b", -1, BSON_SUBTYPE_ENCRYPTED, value, sizeof value);
            bson_append_binary(&set, "d", -1, BSON_SUBTYPE_ENCRYPTED, value, sizeof value);
            bson_append_document_end(&u, &set);
            w->failed |= !mongoc_bulk_operation_update_one_with_opts(bulk, q, &u, NULL, NULL);
            bson_destroy(&u);
            bson_destroy(q);
        }
        bson_t reply;
        bson_error_t error;
        if (!mongoc_bulk_operation_execute(bulk, &reply, &error)) {
            fprintf(stderr, "%s\n", error.message);
            w->failed = true;
        }
        bson_destroy(&reply);
        mongoc_bulk_operation_destroy(bulk);
    }
    mongoc_collection_destroy(coll);
    mongoc_client_pool_push(w->pool, client);
    return NULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct worker workers[64] = {0};
    if (argc != 6) {
        fprintf(stderr, "usage: ready_made URI DB COLLECTION DOCUMENTS CONNECTIONS\n");
        return 2;
    }
    int documents = (int)strtol(argv[4], NULL, 10), count = (int)strtol(argv[5], NULL, 10);
    mongoc_init();
    mongoc_uri_t *uri = mongoc_uri_new(argv[1]);
    mongoc_client_pool_t *pool = uri && count > 0 && count <= 64 ? mongoc_client_pool_new(uri) : NULL;
    if (!pool)
        return 2;
    double begun = now();
    bool failed = false;
    for (int i = 0; i < count; i++) {
        workers[i] = (struct worker){.pool = pool,
                                     .db = argv[2],
                                     .coll = argv[3],
                                     .first = (int)((long)documents * i / count),
                                     .end = (int)((long)documents * (i + 1) / count)};
        failed |= pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        failed |= workers[i].failed;
    }
    printf("%.3f\n", now() - begun);
    mongoc_client_pool_destroy(pool);
    mongoc_uri_destroy(uri);
    mongoc_cleanup();
    return failed;
}
