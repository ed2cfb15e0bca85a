/* SPDX-License-Identifier: Apache-2.0 */
/* A query of the user's before a job reads by it. */
#ifndef KT_IO_MONGO_QUERY_H
#define KT_IO_MONGO_QUERY_H

#include "io/mongo/client.h"

/* Whether the server can find by it along the _id index, as lanes read, and count by it; no document is
 * looked at. option: for messages. KT_OK; KT_E_USAGE: it cannot, or does not understand it; or as
 * kt_mongo_fail says. */
KT_MUST_USE enum kt_status kt_query_check(struct kt_mongo *mongo, const char *ns, const char *option,
                                          const bson_t *query, struct kt_error *err);

/* How many documents it finds. *known false: counting would take longer than some seconds. KT_OK; KT_E_USAGE:
 * it fails on some document; or as kt_mongo_fail says. */
KT_MUST_USE enum kt_status kt_query_count(struct kt_mongo *mongo, const char *ns, const char *option,
                                          const bson_t *query, bool *known, uint64_t *count,
                                          struct kt_error *err);

#endif
