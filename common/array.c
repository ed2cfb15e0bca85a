/* SPDX-License-Identifier: Apache-2.0 */
#include "common/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_FIRST 64

enum kt_status kt_array_reserve(void *array, size_t *capacity, size_t count, size_t item_nbytes)
{
    void *items;
    if (count <= *capacity)
        return KT_OK;
    size_t want = *capacity ? 2 * *capacity : ITEMS_FIRST;
    if (want < count)
        want = count;
    if (want > SIZE_MAX / 2 / item_nbytes)
        return KT_E_NOMEM;
    /* Copied, as a pointer to some items may not be accessed as a pointer to void. */
    memcpy(&items, array, sizeof items);
    items = realloc(items, want * item_nbytes);
    if (!items)
        return KT_E_NOMEM;
    memcpy(array, &items, sizeof items);
    *capacity = want;
    return KT_OK;
}
