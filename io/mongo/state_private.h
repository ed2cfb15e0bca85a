/* SPDX-License-Identifier: Apache-2.0 */
/* What the state's parts share. */
#ifndef KT_IO_MONGO_STATE_PRIVATE_H
#define KT_IO_MONGO_STATE_PRIVATE_H

#include "io/mongo/state.h"

/* {KEY: {$mod: [step, first]}}: ranges first, first + step, ... */
void kt_state_append_part(bson_t *q, const char *key, uint32_t first, uint32_t step);

/* Deletes all documents that the filter finds. */
KT_MUST_USE enum kt_status kt_state_delete(struct kt_mongo *mongo, const char *db, const char *coll,
                                           const bson_t *q, struct kt_error *err);

#endif
