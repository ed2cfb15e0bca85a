/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/array.h"

Test(array, grows_and_keeps_its_items)
{
    uint32_t *items = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        cr_assert_eq(kt_array_reserve(&items, &capacity, i + 1, sizeof *items), KT_OK);
        cr_assert_geq(capacity, i + 1);
        items[i] = i * 7;
    }
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert_eq(items[i], i * 7);
    free(items);
}

Test(array, enough_is_left_alone)
{
    uint32_t *items = NULL;
    size_t capacity = 0;
    cr_assert_eq(kt_array_reserve(&items, &capacity, 100, sizeof *items), KT_OK);
    uint32_t *before = items;
    cr_assert_eq(kt_array_reserve(&items, &capacity, 100, sizeof *items), KT_OK);
    cr_assert_eq(items, before);
    cr_assert_eq(capacity, 100);
    free(items);
}

Test(array, more_than_memory_is_refused_and_changes_nothing)
{
    uint32_t *items = NULL;
    size_t capacity = 0;
    cr_assert_eq(kt_array_reserve(&items, &capacity, SIZE_MAX / 2, sizeof *items), KT_E_NOMEM);
    cr_assert_null(items);
    cr_assert_eq(capacity, 0);
}
