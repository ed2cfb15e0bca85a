/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/walk_value.h"

const char kt_fault_bool[] = "bool is neither 0 nor 1";

const char *kt_rare_value_fault(uint8_t type, const uint8_t *value, size_t room, size_t *nbytes, bool utf8)
{
    if (kt_bson_type_name(type) == NULL)
        return "unknown type byte";
    if (kt_bson_value_nbytes(type, value, room, nbytes) != KT_OK)
        return "length of a value does not fit its document";
    const uint8_t *string = type == KT_BSON_CODE_W_SCOPE ? value + 4 : value;
    if (utf8 && (type == KT_BSON_DB_POINTER || type == KT_BSON_CODE_W_SCOPE) &&
        !kt_utf8_ok(string + 4, kt_load_le32(string) - 1))
        return "string is not UTF-8";
    return NULL;
}
