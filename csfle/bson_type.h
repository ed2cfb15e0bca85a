/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about BSON values, read raw and bounds-checked. Source: bsonspec.org version 1.1; which types CSFLE
 * takes: MongoDB manual, "CSFLE Encryption Schemas", and libmongocrypt. */
#ifndef KT_CSFLE_BSON_TYPE_H
#define KT_CSFLE_BSON_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

enum kt_bson_type {
    KT_BSON_DOUBLE = 0x01,
    KT_BSON_STRING = 0x02,
    KT_BSON_DOCUMENT = 0x03,
    KT_BSON_ARRAY = 0x04,
    KT_BSON_BINARY = 0x05,
    KT_BSON_UNDEFINED = 0x06,
    KT_BSON_OBJECT_ID = 0x07,
    KT_BSON_BOOL = 0x08,
    KT_BSON_DATE = 0x09,
    KT_BSON_NULL = 0x0a,
    KT_BSON_REGEX = 0x0b,
    KT_BSON_DB_POINTER = 0x0c,
    KT_BSON_CODE = 0x0d,
    KT_BSON_SYMBOL = 0x0e,
    KT_BSON_CODE_W_SCOPE = 0x0f,
    KT_BSON_INT32 = 0x10,
    KT_BSON_TIMESTAMP = 0x11,
    KT_BSON_INT64 = 0x12,
    KT_BSON_DECIMAL128 = 0x13,
    KT_BSON_MAX_KEY = 0x7f,
    KT_BSON_MIN_KEY = 0xff,
};

/* Documents inside the outermost one. Servers of today take 200 (maxBSONDepth); dumps of old ones hold more.
 */
#define KT_BSON_DEPTH_MAX 1000

/* Length of the value at `value`, of which `available` bytes lie before the end of its document. Checks the
 * lengths and NULs of this value; embedded documents only by their own length and final NUL.
 * KT_OK, or KT_E_FORMAT (unknown type byte, or a length that does not fit). */
KT_MUST_USE enum kt_status kt_bson_value_nbytes(uint8_t type, const uint8_t *value, size_t available,
                                                size_t *nbytes);

/* Whole-structure check of a value, embedded documents and scopes included, as MongoDB takes it. */
KT_MUST_USE enum kt_status kt_bson_check_value(uint8_t type, struct kt_span value);

/* The alias that schemas use ("int", "binData"), or NULL for an unknown type byte. */
const char *kt_bson_type_name(uint8_t type);

/* The type of an alias; 0 when there is none ("number" is no alias of encrypt's bsonType). */
uint8_t kt_bson_type_of_name(struct kt_span alias);

/* One bit a type, for sets of types. 0 for unknown type bytes. */
uint32_t kt_bson_type_bit(uint8_t type);

/* What may be encrypted: never minKey, maxKey, null, undefined, nor BinData of subtype 6 (the caller looks at
 * the subtype); deterministically not double, decimal, bool, object, array, javascriptWithScope either. */
bool kt_bson_type_random_ok(uint8_t type);
bool kt_bson_type_deterministic_ok(uint8_t type);

#endif
