/* SPDX-License-Identifier: Apache-2.0 */
/* Lay out: the new form of a document from its old bytes and its ops. Every size is known beforehand; runs of
 * untouched bytes are copied once, lengths of embedded documents are patched, each payload gets its 18 AAD
 * bytes and a hole behind them that the engine fills. */
#ifndef KT_CSFLE_LAYOUT_H
#define KT_CSFLE_LAYOUT_H

#include <stdint.h>

#include "common/span.h"
#include "csfle/walk.h"

/* 16 bytes of the key with this handle; lives until the batch is done. */
typedef const uint8_t *(*kt_key_id_fn)(const void *context, uint32_t key);

struct kt_layout {
    const uint8_t *in;     /* arena of the documents */
    const uint8_t *opened; /* arena of opened values; NULL when no op is OPEN */
    kt_key_id_fn key_id;   /* for SEAL ops */
    const void *key_context;
};

/* Length of the document's new form. Never fails; may exceed KT_DOC limits, which the caller checks. */
uint64_t kt_layout_nbytes(uint32_t doc_nbytes, const struct kt_op *ops, size_t count);

/* Writes the new form at out + at (room for kt_layout_nbytes there) and sets each SEAL op's hole (offset in
 * out behind the AAD). Returns the length. With count 0 it is a copy. */
uint32_t kt_layout_write(const struct kt_layout *layout, uint32_t doc, uint32_t doc_nbytes, struct kt_op *ops,
                         size_t count, uint8_t *out, uint32_t at);

/* The same as an update's operand: {"a.b": new value, ...}, one field for each SEAL and OPEN op, dotted
 * names. doc: where the document begins. kt_layout_set_nbytes returns 0 when the server would not find a
 * value under its dotted name: a name on the way contains '.', starts with '$', is empty or stands twice in
 * its document, or an array's element is not named by its number. Such a document cannot be updated by a
 * dotted $set. */
uint64_t kt_layout_set_nbytes(const struct kt_layout *layout, uint32_t doc, const struct kt_op *ops,
                              size_t count);
uint32_t kt_layout_set_write(const struct kt_layout *layout, struct kt_op *ops, size_t count, uint8_t *out,
                             uint32_t at);

#endif
