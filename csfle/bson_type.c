/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_type.h"

#define BIT_NONE 0
#define COUNT 22

/* Type bytes are sparse at the top only; index 0 stands for every unknown one. */
static unsigned index_of(uint8_t type)
{
    if (type <= KT_BSON_DECIMAL128)
        return type;
    return type == KT_BSON_MAX_KEY ? 20 : type == KT_BSON_MIN_KEY ? 21 : 0;
}

enum { NEVER, RANDOM_ONLY, ANY_ALGORITHM };

static const struct {
    uint8_t type;
    const char *name;
    uint8_t takes;
} types[COUNT] = {
    {0, NULL, NEVER},
    {KT_BSON_DOUBLE, "double", RANDOM_ONLY},
    {KT_BSON_STRING, "string", ANY_ALGORITHM},
    {KT_BSON_DOCUMENT, "object", RANDOM_ONLY},
    {KT_BSON_ARRAY, "array", RANDOM_ONLY},
    {KT_BSON_BINARY, "binData", ANY_ALGORITHM},
    {KT_BSON_UNDEFINED, "undefined", NEVER},
    {KT_BSON_OBJECT_ID, "objectId", ANY_ALGORITHM},
    {KT_BSON_BOOL, "bool", RANDOM_ONLY},
    {KT_BSON_DATE, "date", ANY_ALGORITHM},
    {KT_BSON_NULL, "null", NEVER},
    {KT_BSON_REGEX, "regex", ANY_ALGORITHM},
    {KT_BSON_DB_POINTER, "dbPointer", ANY_ALGORITHM},
    {KT_BSON_CODE, "javascript", ANY_ALGORITHM},
    {KT_BSON_SYMBOL, "symbol", ANY_ALGORITHM},
    {KT_BSON_CODE_W_SCOPE, "javascriptWithScope", RANDOM_ONLY},
    {KT_BSON_INT32, "int", ANY_ALGORITHM},
    {KT_BSON_TIMESTAMP, "timestamp", ANY_ALGORITHM},
    {KT_BSON_INT64, "long", ANY_ALGORITHM},
    {KT_BSON_DECIMAL128, "decimal", RANDOM_ONLY},
    {KT_BSON_MAX_KEY, "maxKey", NEVER},
    {KT_BSON_MIN_KEY, "minKey", NEVER},
};

const char *kt_bson_type_name(uint8_t type)
{
    return types[index_of(type)].name;
}

uint8_t kt_bson_type_of_name(struct kt_span alias)
{
    for (unsigned i = 1; i < COUNT; i++)
        if (kt_span_equal(alias, kt_span_str(types[i].name)))
            return types[i].type;
    return 0;
}

uint32_t kt_bson_type_bit(uint8_t type)
{
    unsigned i = index_of(type);
    return i ? 1u << i : BIT_NONE;
}

bool kt_bson_type_random_ok(uint8_t type)
{
    return types[index_of(type)].takes != NEVER;
}

bool kt_bson_type_deterministic_ok(uint8_t type)
{
    return types[index_of(type)].takes == ANY_ALGORITHM;
}

/* int32 length that counts the NUL, bytes, NUL. 0: it does not fit. */
static size_t string_nbytes(const uint8_t *p, size_t available)
{
    if (available < 5)
        return 0;
    uint32_t n = kt_load_le32(p);
    if (n < 1 || n > available - 4 || p[4 + n - 1] != 0)
        return 0;
    return 4 + (size_t)n;
}

static size_t document_nbytes(const uint8_t *p, size_t available)
{
    if (available < 5)
        return 0;
    uint32_t n = kt_load_le32(p);
    return n < 5 || n > available || p[n - 1] != 0 ? 0 : n;
}

static size_t binary_nbytes(const uint8_t *p, size_t available)
{
    if (available < 5)
        return 0;
    uint32_t n = kt_load_le32(p);
    if (n > available - 5)
        return 0;
    /* The old binary subtype repeats its length inside. */
    if (p[4] == 2 && (n < 4 || kt_load_le32(p + 5) != n - 4))
        return 0;
    return 5 + (size_t)n;
}

static size_t regex_nbytes(const uint8_t *p, size_t available)
{
    const uint8_t *pattern_end = available ? memchr(p, 0, available) : NULL;
    if (!pattern_end)
        return 0;
    size_t rest = available - (size_t)(pattern_end + 1 - p);
    const uint8_t *options_end = rest ? memchr(pattern_end + 1, 0, rest) : NULL;
    return options_end ? (size_t)(options_end + 1 - p) : 0;
}

static size_t code_w_scope_nbytes(const uint8_t *p, size_t available)
{
    if (available < 14)
        return 0;
    uint32_t n = kt_load_le32(p);
    if (n < 14 || n > available)
        return 0;
    size_t code = string_nbytes(p + 4, n - 4), scope = n - 4 - code;
    return code && scope && document_nbytes(p + 4 + code, scope) == scope ? n : 0;
}

static enum kt_status fixed(size_t n, size_t available, size_t *nbytes)
{
    *nbytes = n;
    return n <= available ? KT_OK : KT_E_FORMAT;
}

static enum kt_status variable(size_t n, size_t *nbytes)
{
    *nbytes = n;
    return n ? KT_OK : KT_E_FORMAT;
}

enum kt_status kt_bson_value_nbytes(uint8_t type, const uint8_t *value, size_t available, size_t *nbytes)
{
    switch (type) {
    case KT_BSON_UNDEFINED:
    case KT_BSON_NULL:
    case KT_BSON_MAX_KEY:
    case KT_BSON_MIN_KEY:
        return fixed(0, available, nbytes);
    case KT_BSON_BOOL:
        return fixed(1, available, nbytes);
    case KT_BSON_INT32:
        return fixed(4, available, nbytes);
    case KT_BSON_DOUBLE:
    case KT_BSON_DATE:
    case KT_BSON_TIMESTAMP:
    case KT_BSON_INT64:
        return fixed(8, available, nbytes);
    case KT_BSON_OBJECT_ID:
        return fixed(12, available, nbytes);
    case KT_BSON_DECIMAL128:
        return fixed(16, available, nbytes);
    case KT_BSON_STRING:
    case KT_BSON_CODE:
    case KT_BSON_SYMBOL:
        return variable(string_nbytes(value, available), nbytes);
    case KT_BSON_DOCUMENT:
    case KT_BSON_ARRAY:
        return variable(document_nbytes(value, available), nbytes);
    case KT_BSON_BINARY:
        return variable(binary_nbytes(value, available), nbytes);
    case KT_BSON_REGEX:
        return variable(regex_nbytes(value, available), nbytes);
    case KT_BSON_DB_POINTER: {
        size_t n = string_nbytes(value, available);
        return n ? fixed(n + 12, available, nbytes) : variable(0, nbytes);
    }
    case KT_BSON_CODE_W_SCOPE:
        return variable(code_w_scope_nbytes(value, available), nbytes);
    default:
        return variable(0, nbytes);
    }
}
