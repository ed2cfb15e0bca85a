/* SPDX-License-Identifier: Apache-2.0 */
/* How far a set's members are behind their primary. */
#ifndef KT_IO_MONGO_LAG_H
#define KT_IO_MONGO_LAG_H

#include "io/mongo/client.h"

/* *seconds: of the slowest member that is up and votes or shows itself; where replSetGetStatus may not be
 * asked, of the majority. 0 for what is no replica set. KT_OK, or as kt_mongo_fail says. */
KT_MUST_USE enum kt_status kt_mongo_lag(struct kt_mongo *mongo, double *seconds, struct kt_error *err);

#endif
