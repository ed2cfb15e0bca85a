/* SPDX-License-Identifier: Apache-2.0 */
/* The stored form of an encrypted value: BinData of subtype 6 whose bytes are
 *   algorithm(1: deterministic, 2: random) || key UUID(16) || BSON type(1) || IV || S || T.
 * The first 18 bytes are the AAD. Source: MongoDB specifications, client-side-encryption,
 * binary-encrypted.md; libmongocrypt mongocrypt-ciphertext.c. */
#ifndef KT_CSFLE_PAYLOAD_H
#define KT_CSFLE_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

#define KT_UUID_NBYTES 16
#define KT_SUBTYPE_ENCRYPTED 6
#define KT_PAYLOAD_AAD_NBYTES 18
#define KT_PAYLOAD_MIN_NBYTES 82 /* AAD, IV, one block, tag */

enum kt_algorithm { KT_DETERMINISTIC = 1, KT_RANDOM = 2 };

struct kt_payload {
    uint8_t algorithm;     /* enum kt_algorithm */
    const uint8_t *key_id; /* 16 bytes inside the value */
    uint8_t type;          /* BSON type of the plaintext */
    struct kt_span sealed; /* IV || S || T; the AAD stands just before it */
};

/* Length of the payload of a plaintext of n bytes. */
#define KT_PAYLOAD_NBYTES(n) (66 + 16 * ((size_t)(n) / 16 + 1))

/* True when a BSON value of this type (its bytes as they stand behind the name) is a CSFLE payload of the two
 * algorithms. Queryable Encryption's payloads and other subtypes are not. A value whose first byte says 1 or
 * 2 but whose length cannot be right is none either; *broken then tells (may be NULL). */
bool kt_payload_parse(uint8_t type, struct kt_span value, struct kt_payload *payload, bool *broken);

/* The 16 bytes where every encrypted value that a server stores names its key: CSFLE's and Queryable
 * Encryption's alike, whole or not, whatever its first byte says. NULL: none, or too short for them. */
const uint8_t *kt_payload_key_id(struct kt_span value);

/* Writes the 18 AAD bytes. */
void kt_payload_write_aad(uint8_t *out, uint8_t algorithm, const uint8_t *key_id, uint8_t type);

#endif
