/* SPDX-License-Identifier: Apache-2.0 */
/* What a server knows of a collection before a job touches it. */
#ifndef KT_IO_MONGO_COLLECTION_H
#define KT_IO_MONGO_COLLECTION_H

#include "io/mongo/client.h"
#include "io/mongo/id.h"

enum kt_coll_kind {
    KT_COLL_MISSING,
    KT_COLL_PLAIN,
    KT_COLL_VIEW,
    KT_COLL_TIMESERIES,
    KT_COLL_CAPPED,
    KT_COLL_QE, /* has encryptedFields: Queryable Encryption */
};

struct kt_coll {
    enum kt_coll_kind kind;
    bool clustered;     /* by _id: there is no _id index */
    uint8_t uuid[16];   /* of this very collection: one made anew under its name has another */
    bson_t options;     /* as listCollections has them */
    bson_t indexes;     /* {"0": {key, name, ...}, ...} as listIndexes has them */
    bson_t shard_key;   /* {} when not sharded */
    uint64_t documents; /* estimates: the server's fast count and sizes */
    uint64_t nbytes, average_nbytes, storage_nbytes, indexes_nbytes;
};

/* Asks for all of it. KT_OK (also when there is no such collection), or as kt_mongo_fail says. The caller
 * frees in every case. */
KT_MUST_USE enum kt_status kt_coll_read(struct kt_mongo *mongo, const char *ns, struct kt_coll *coll,
                                        struct kt_error *err);
void kt_coll_free(struct kt_coll *coll);

/* Names of the collections of a database that are no system's own, handed on one by one ("db.coll"). */
typedef enum kt_status (*kt_name_fn)(void *context, const char *ns, struct kt_error *err);
KT_MUST_USE enum kt_status kt_coll_names(struct kt_mongo *mongo, const char *db, kt_name_fn each,
                                         void *context, struct kt_error *err);

/* Cuts a collection into `parts` ranges of about equal numbers of documents: parts - 1 or fewer ascending
 * _ids from a sample, in bounds (room for parts - 1, zero-initialised). */
KT_MUST_USE enum kt_status kt_coll_cut(struct kt_mongo *mongo, const char *ns, size_t parts,
                                       struct kt_id *bounds, size_t *count, struct kt_error *err);

#endif
