/* SPDX-License-Identifier: Apache-2.0 */
/* The new value of a SEAL or OPEN op, which documents and $set operands share. */
#ifndef KT_CSFLE_LAYOUT_VALUE_H
#define KT_CSFLE_LAYOUT_VALUE_H

#include "csfle/bson_type.h"
#include "csfle/layout.h"

#define KT_BINARY_HEAD 5 /* int32 length, subtype */

static inline size_t kt_new_value_nbytes(const struct kt_op *op)
{
    return op->action == KT_SEAL ? KT_BINARY_HEAD + KT_PAYLOAD_NBYTES(op->value_nbytes) : op->opened_nbytes;
}

static inline uint8_t kt_new_type(const struct kt_op *op)
{
    return op->action == KT_SEAL ? KT_BSON_BINARY : op->type;
}

/* Writes kt_new_value_nbytes() at out + at; the hole of a SEAL op stays as it was. */
static inline void kt_write_new_value(const struct kt_layout *layout, struct kt_op *op, uint8_t *out,
                                      uint32_t at)
{
    if (op->action == KT_OPEN) {
        memcpy(out + at, layout->opened + op->hole, op->opened_nbytes);
        return;
    }
    kt_store_le32(out + at, (uint32_t)KT_PAYLOAD_NBYTES(op->value_nbytes));
    out[at + 4] = KT_SUBTYPE_ENCRYPTED;
    kt_payload_write_aad(out + at + KT_BINARY_HEAD, op->algorithm,
                         layout->key_id(layout->key_context, op->key), op->type);
    op->hole = at + KT_BINARY_HEAD + KT_PAYLOAD_AAD_NBYTES;
}

#endif
