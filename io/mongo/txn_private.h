/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a transaction share. */
#ifndef KT_IO_MONGO_TXN_PRIVATE_H
#define KT_IO_MONGO_TXN_PRIVATE_H

#include "io/mongo/txn.h"

/* How a step ended by its reply. One that failed is aborted: nothing was committed yet, so all that passes is
 * KT_TXN_AGAIN. */
KT_MUST_USE enum kt_txn_end kt_txn_judge(struct kt_lane *lane, bool ok, const bson_t *reply,
                                         const bson_error_t *error, const char *doing, struct kt_error *err);

#endif
