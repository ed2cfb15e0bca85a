/* SPDX-License-Identifier: Apache-2.0 */
/* What names a document in an update: {_id: X}, on a sharded collection with the shard key's fields, which
 * tell mongos the one shard to ask. */
#ifndef KT_JOBS_LIVE_Q_H
#define KT_JOBS_LIVE_Q_H

#include <bson/bson.h>
#include <stdbool.h>

#include "common/span.h"

struct kt_live_q {
    const bson_t *shard_key; /* {} when not sharded */
    struct kt_span doc, id;
    uint8_t id_type;
    uint64_t nbytes;
};

/* False: no update can name this document. doc: walked, with _id and all of the shard key that it has; lives
 * as long as q does. A shard key's field that the document lacks, or whose value no equality can say, is left
 * out: mongos then asks all shards, and _id alone decides. */
bool kt_live_q_measure(struct kt_live_q *q, const bson_t *shard_key, struct kt_span doc);

/* Writes q->nbytes at out + at; returns the offset behind them. */
uint32_t kt_live_q_write(const struct kt_live_q *q, uint8_t *out, uint32_t at);

#endif
