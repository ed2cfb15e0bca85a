/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_type.h"
#include "csfle/bson_utf8.h"
#include "csfle/walk_core.h"

static enum kt_status check_string(struct kt_span value)
{
    size_t nbytes = kt_load_le32(value.data);
    return kt_utf8_ok(value.data + 4, nbytes - 1) ? KT_OK : KT_E_FORMAT;
}

static enum kt_status check_code_w_scope(struct kt_span value)
{
    enum kt_status status = check_string(kt_span_of(value.data + 4, value.nbytes - 4));
    if (status != KT_OK)
        return status;
    size_t scope = 4 + 4 + (size_t)kt_load_le32(value.data + 4);
    return kt_walk_check(kt_span_of(value.data + scope, value.nbytes - scope));
}

enum kt_status kt_bson_check_value(uint8_t type, struct kt_span value)
{
    size_t nbytes;
    enum kt_status status = kt_bson_value_nbytes(type, value.data, value.nbytes, &nbytes);
    if (status != KT_OK || nbytes != value.nbytes)
        return KT_E_FORMAT;
    switch (type) {
    case KT_BSON_DOCUMENT:
    case KT_BSON_ARRAY:
        return kt_walk_check(value);
    case KT_BSON_STRING:
    case KT_BSON_CODE:
    case KT_BSON_SYMBOL:
    case KT_BSON_DB_POINTER:
        return check_string(value);
    case KT_BSON_CODE_W_SCOPE:
        return check_code_w_scope(value);
    case KT_BSON_BOOL:
        return value.data[0] <= 1 ? KT_OK : KT_E_FORMAT;
    default:
        return KT_OK;
    }
}
