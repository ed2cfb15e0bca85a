/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values as the walk reads them, inlined into each of its forms. "Fault" is NULL, or what is wrong.
 */
#ifndef KT_CSFLE_WALK_VALUE_H
#define KT_CSFLE_WALK_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"
#include "csfle/bson_type.h"
#include "csfle/bson_utf8.h"
#include "csfle/schema_node.h"

#define KT_BYTE_ONES 0x0101010101010101u
#define KT_BYTE_HIGHS 0x8080808080808080u

/* Of a value's content: the document's structure is sound all the same. */
extern const char kt_fault_bool[];

/* BinData, regular expressions, DBPointers, code with a scope, and unknown types. utf8: texts must be. */
const char *kt_rare_value_fault(uint8_t type, const uint8_t *value, size_t room, size_t *nbytes, bool utf8);

/* Length of a name, and its first 8 bytes with zeros behind them. A name that is not ended before limit reads
 * as reaching there. */
static inline size_t kt_name_nbytes(const uint8_t *name, const uint8_t *limit, uint64_t *first)
{
    const uint8_t *p = name;
    uint64_t head = 0;
    while (limit - p >= 8) {
        uint64_t word = kt_load_le64(p);
        uint64_t zeros = (word - KT_BYTE_ONES) & ~word & KT_BYTE_HIGHS;
        if (zeros) {
            unsigned n = (unsigned)__builtin_ctzll(zeros) / 8;
            if (p == name)
                head = word & (((uint64_t)1 << 8 * n) - 1);
            *first = head;
            return (size_t)(p - name) + n;
        }
        if (p == name)
            head = word;
        p += 8;
    }
    while (p < limit && *p)
        p++;
    size_t nbytes = (size_t)(p - name);
    *first = kt_name_first(name, nbytes);
    return nbytes;
}

/* Text inside a document: the outer length, a type byte, a name's NUL and the text's own length stand before
 * it, so that reading 8 bytes that end with a short text stays inside. */
static inline bool kt_text_ok(const uint8_t *text, size_t nbytes)
{
    uint64_t any = 0;
    if (nbytes >= 8) {
        size_t i = 0;
        for (; i + 32 <= nbytes; i += 32)
            any |= kt_name_word(text + i) | kt_name_word(text + i + 8) | kt_name_word(text + i + 16) |
                   kt_name_word(text + i + 24);
        for (; i + 8 <= nbytes; i += 8)
            any |= kt_name_word(text + i);
        any |= kt_name_word(text + nbytes - 8);
    } else if (nbytes) {
        any = kt_load_le64(text + nbytes - 8) >> (64 - 8 * nbytes);
    }
    return (any & KT_BYTE_HIGHS) == 0 || kt_utf8_ok(text, nbytes);
}

static inline const char *kt_string_fault(const uint8_t *value, size_t room, size_t *nbytes, bool utf8)
{
    if (room < 5)
        return "string runs past its document";
    uint32_t n = kt_load_le32(value);
    if (n < 1 || n > room - 4)
        return "length of a string does not fit its document";
    if (value[4 + n - 1] != 0)
        return "string does not end with a NUL";
    if (utf8 && !kt_text_ok(value + 4, n - 1))
        return "string is not UTF-8";
    *nbytes = 4 + (size_t)n;
    return NULL;
}

static inline const char *kt_document_fault(const uint8_t *value, size_t room, size_t *nbytes)
{
    uint32_t n = room >= 5 ? kt_load_le32(value) : 0;
    if (n < 5 || n > room)
        return "length of an embedded document does not fit the document around it";
    if (value[n - 1] != 0)
        return "embedded document does not end with a NUL";
    *nbytes = n;
    return NULL;
}

/* Length of the values of a type, when all have the same; else SIZE_MAX. */
static inline size_t kt_fixed_nbytes(uint8_t type)
{
    /* One more than the length, so that 0 says: not fixed. */
    static const uint8_t nbytes_1[256] = {
        [KT_BSON_DOUBLE] = 9, [KT_BSON_UNDEFINED] = 1,   [KT_BSON_OBJECT_ID] = 13, [KT_BSON_BOOL] = 2,
        [KT_BSON_DATE] = 9,   [KT_BSON_NULL] = 1,        [KT_BSON_INT32] = 5,      [KT_BSON_TIMESTAMP] = 9,
        [KT_BSON_INT64] = 9,  [KT_BSON_DECIMAL128] = 17, [KT_BSON_MAX_KEY] = 1,    [KT_BSON_MIN_KEY] = 1,
    };
    return (size_t)nbytes_1[type] - 1;
}

/* Length of a value, which is checked but for what lies inside an embedded document. utf8: whether its texts
 * must be; servers store others too. NULL, or what is wrong. */
static inline const char *kt_value_fault(uint8_t type, const uint8_t *value, size_t room, size_t *nbytes,
                                         bool utf8)
{
    size_t fixed = kt_fixed_nbytes(type);
    if (fixed <= room) {
        *nbytes = fixed;
        return type == KT_BSON_BOOL && *value > 1 ? kt_fault_bool : NULL;
    }
    if (fixed != SIZE_MAX)
        return "value runs past its document";
    if (type == KT_BSON_STRING || type == KT_BSON_CODE || type == KT_BSON_SYMBOL)
        return kt_string_fault(value, room, nbytes, utf8);
    if (type == KT_BSON_DOCUMENT || type == KT_BSON_ARRAY)
        return kt_document_fault(value, room, nbytes);
    return kt_rare_value_fault(type, value, room, nbytes, utf8);
}

static inline bool kt_is_container(uint8_t type)
{
    return type == KT_BSON_DOCUMENT || type == KT_BSON_ARRAY || type == KT_BSON_CODE_W_SCOPE;
}

#endif
