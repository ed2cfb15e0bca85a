/* SPDX-License-Identifier: Apache-2.0 */
/* Values of _id as bounds: one BSON document {_id: value}, of any type, byte for byte. */
#ifndef KT_IO_MONGO_ID_H
#define KT_IO_MONGO_ID_H

#include <bson/bson.h>
#include <stdbool.h>

#include "common/span.h"

/* Zero-initialised: no bound. */
struct kt_id {
    struct kt_buf doc;
};

static inline bool kt_id_is_set(const struct kt_id *id)
{
    return id->doc.nbytes != 0;
}

void kt_id_free(struct kt_id *id);

/* KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_id_copy(struct kt_id *to, const struct kt_id *from);

/* The _id of a raw document; an unset id when it has none that can be read. */
KT_MUST_USE enum kt_status kt_id_of_doc(struct kt_id *to, const uint8_t *doc, size_t nbytes);

/* What kt_id_save wrote: {_id: value} as BinData. False when it is no such thing. */
bool kt_id_append(bson_t *out, const char *key, const struct kt_id *id);
KT_MUST_USE enum kt_status kt_id_load(struct kt_id *to, const bson_iter_t *binary);

/* As a document {_id: value} under `key`. */
bool kt_id_append_bound(bson_t *out, const char *key, const struct kt_id *id);

/* Same type, same bytes. */
bool kt_id_equal(const struct kt_id *a, const struct kt_id *b);
bool kt_id_is_max_key(const struct kt_id *id);
bool kt_id_is_min_key(const struct kt_id *id);

#endif
