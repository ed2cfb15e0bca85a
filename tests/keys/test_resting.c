/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/resting.h"

#include <criterion/criterion.h>

#include "tests/keys/fixture.h"

static const char *const no_more[] = {"local", NULL};

static void put(struct fixture *f, struct kt_resting *resting, uint32_t first, size_t count, uint32_t *at)
{
    uint8_t *deks = kt_secmem_alloc(f->secmem, count * KT_DEK_NBYTES);
    uint8_t sealed[KT_RESTING_RUN * KT_WRAPPED_NBYTES];
    for (uint32_t i = 0; i < count; i++)
        fixture_dek(first + i, deks + i * KT_DEK_NBYTES);
    cr_assert_eq(kt_resting_seal(resting, f->engine, deks, count, sealed), KT_OK);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(kt_resting_put(resting, sealed + i * KT_WRAPPED_NBYTES, &at[i]), KT_OK);
    kt_secmem_free(f->secmem, deks);
}

Test(resting, what_rests_comes_back_in_any_order)
{
    struct fixture f;
    struct kt_resting resting;
    fixture_open(&f, no_more);
    cr_assert_eq(kt_resting_init(&resting, f.secmem, f.engine), KT_OK);
    uint32_t at[640], shuffled[64];
    for (uint32_t i = 0; i < 10; i++)
        put(&f, &resting, i * 64, 64, at + i * 64);
    uint8_t *deks = kt_secmem_alloc(f.secmem, 64 * KT_RESTING_ROOM), expected[KT_DEK_NBYTES];
    for (uint32_t i = 0; i < 64; i++)
        shuffled[i] = at[i * 7 % 640];
    cr_assert_eq(kt_resting_open(&resting, f.engine, shuffled, 64, deks), KT_OK);
    for (uint32_t i = 0; i < 64; i++) {
        fixture_dek(i * 7 % 640, expected);
        cr_assert_arr_eq(deks + i * KT_DEK_NBYTES, expected, KT_DEK_NBYTES);
    }
    kt_secmem_free(f.secmem, deks);
    kt_resting_cleanup(&resting);
    fixture_close(&f);
}

Test(resting, sealed_deks_hold_no_plaintext_and_differ_each_time)
{
    struct fixture f;
    struct kt_resting resting;
    fixture_open(&f, no_more);
    cr_assert_eq(kt_resting_init(&resting, f.secmem, f.engine), KT_OK);
    uint32_t a, b;
    put(&f, &resting, 5, 1, &a);
    put(&f, &resting, 5, 1, &b);
    const uint8_t *one = kt_chunks_at(&resting.sealed, a), *two = kt_chunks_at(&resting.sealed, b);
    uint8_t dek[KT_DEK_NBYTES];
    fixture_dek(5, dek);
    cr_expect_neq(memcmp(one, two, KT_WRAPPED_NBYTES), 0);
    for (size_t i = 0; i + 8 <= KT_WRAPPED_NBYTES; i++)
        for (size_t k = 0; k + 8 <= KT_DEK_NBYTES; k += 8)
            cr_assert_neq(memcmp(one + i, dek + k, 8), 0);
    kt_resting_cleanup(&resting);
    fixture_close(&f);
}

Test(resting, damaged_memory_is_noticed)
{
    struct fixture f;
    struct kt_resting resting;
    fixture_open(&f, no_more);
    cr_assert_eq(kt_resting_init(&resting, f.secmem, f.engine), KT_OK);
    uint32_t at[3];
    put(&f, &resting, 0, 3, at);
    ((uint8_t *)kt_chunks_at(&resting.sealed, at[1]))[40] ^= 1;
    uint8_t *deks = kt_secmem_alloc(f.secmem, 3 * KT_RESTING_ROOM);
    cr_expect_eq(kt_resting_open(&resting, f.engine, at, 3, deks), KT_E_INTERNAL);
    cr_expect_eq(kt_resting_open(&resting, f.engine, at, 1, deks), KT_OK);
    kt_resting_cleanup(&resting);
    fixture_close(&f);
}

Test(resting, each_table_has_a_key_of_its_own)
{
    struct fixture f;
    struct kt_resting one, two;
    fixture_open(&f, no_more);
    cr_assert_eq(kt_resting_init(&one, f.secmem, f.engine), KT_OK);
    cr_assert_eq(kt_resting_init(&two, f.secmem, f.engine), KT_OK);
    uint32_t at, there;
    put(&f, &one, 1, 1, &at);
    cr_assert_eq(kt_resting_put(&two, kt_chunks_at(&one.sealed, at), &there), KT_OK);
    uint8_t *deks = kt_secmem_alloc(f.secmem, KT_RESTING_ROOM);
    cr_expect_eq(kt_resting_open(&two, f.engine, &there, 1, deks), KT_E_INTERNAL);
    kt_resting_cleanup(&one);
    kt_resting_cleanup(&two);
    fixture_close(&f);
}

Test(resting, a_full_pool_is_an_error)
{
    struct fixture f;
    struct kt_resting resting;
    fixture_open(&f, no_more);
    while (kt_secmem_alloc(f.secmem, 64))
        ;
    cr_expect_eq(kt_resting_init(&resting, f.secmem, f.engine), KT_E_NOMEM);
    fixture_close(&f);
}
