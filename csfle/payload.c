/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/payload.h"

#include "csfle/bson_type.h"

#define BINARY_HEAD 5 /* int32 length, subtype */

bool kt_payload_parse(uint8_t type, struct kt_span value, struct kt_payload *payload, bool *broken)
{
    if (broken)
        *broken = false;
    if (type != KT_BSON_BINARY || value.nbytes <= BINARY_HEAD || value.data[4] != KT_SUBTYPE_ENCRYPTED)
        return false;
    const uint8_t *blob = value.data + BINARY_HEAD;
    size_t nbytes = value.nbytes - BINARY_HEAD;
    if (blob[0] != KT_DETERMINISTIC && blob[0] != KT_RANDOM)
        return false;
    /* IV and tag are whole numbers of blocks, so what follows the AAD always is. */
    if (nbytes < KT_PAYLOAD_MIN_NBYTES || (nbytes - KT_PAYLOAD_AAD_NBYTES) % 16 != 0) {
        if (broken)
            *broken = true;
        return false;
    }
    payload->algorithm = blob[0];
    payload->key_id = blob + 1;
    payload->type = blob[1 + KT_UUID_NBYTES];
    payload->sealed = kt_span_of(blob + KT_PAYLOAD_AAD_NBYTES, nbytes - KT_PAYLOAD_AAD_NBYTES);
    return true;
}

const uint8_t *kt_payload_key_id(struct kt_span value)
{
    bool long_enough = value.nbytes >= BINARY_HEAD + 1 + KT_UUID_NBYTES;
    return long_enough && value.data[4] == KT_SUBTYPE_ENCRYPTED ? value.data + BINARY_HEAD + 1 : NULL;
}

void kt_payload_write_aad(uint8_t *out, uint8_t algorithm, const uint8_t *key_id, uint8_t type)
{
    out[0] = algorithm;
    memcpy(out + 1, key_id, KT_UUID_NBYTES);
    out[1 + KT_UUID_NBYTES] = type;
}
