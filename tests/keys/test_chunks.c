/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/chunks.h"

#include <criterion/criterion.h>

Test(chunks, items_are_zeroed_numbered_and_never_move)
{
    struct kt_chunks chunks = {.item_nbytes = 24};
    uint64_t *first[3000];
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t at = 0;
        cr_assert_eq(kt_chunks_add(&chunks, &at), KT_OK);
        cr_assert_eq(at, i);
        first[i] = kt_chunks_at(&chunks, i);
        cr_assert(first[i][0] == 0 && first[i][1] == 0 && first[i][2] == 0);
        first[i][0] = first[i][2] = i;
    }
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t *item = kt_chunks_at(&chunks, i);
        cr_assert_eq(item, first[i]);
        cr_assert(item[0] == i && item[2] == i);
    }
    kt_chunks_free(&chunks);
    cr_expect_eq(chunks.count, 0);
    cr_expect_eq(chunks.item_nbytes, 24);
}

Test(chunks, every_index_lies_inside_its_chunk)
{
    struct kt_chunks chunks = {.item_nbytes = 1};
    uint8_t *base = (uint8_t *)64;
    for (int k = 0; k < KT_CHUNKS_MAX; k++)
        chunks.chunk[k] = base;
    for (int k = 0; k < KT_CHUNKS_MAX; k++) {
        uint64_t begin = KT_CHUNK_FIRST * ((UINT64_C(1) << k) - 1),
                 end = KT_CHUNK_FIRST * ((UINT64_C(2) << k) - 1);
        cr_assert_eq((uint8_t *)kt_chunks_at(&chunks, (uint32_t)begin) - base, 0);
        cr_assert_eq((uint8_t *)kt_chunks_at(&chunks, (uint32_t)(end - 1)) - base,
                     (ptrdiff_t)(KT_CHUNK_FIRST * (UINT64_C(1) << k)) - 1);
    }
}

Test(chunks, past_the_last_index_there_is_no_more)
{
    struct kt_chunks chunks = {.item_nbytes = 1, .count = UINT32_MAX - 300};
    uint32_t at;
    cr_expect_eq(kt_chunks_add(&chunks, &at), KT_E_NOMEM);
}
