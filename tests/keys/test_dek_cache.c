/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/dek_cache.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/keys/fixture.h"

enum { N = 300 };

static struct fixture f;
static struct kt_key_table *table;
static uint32_t handles[N];

static void open_fixture(void)
{
    static const char *const ids[] = {"local", NULL};
    bool settled;
    fixture_open(&f, ids);
    table = fixture_table(&f, NULL);
    for (uint32_t i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        fixture_add(&f, i, "local", (const char *const[]){name, NULL});
        handles[i] = fixture_handle(table, i);
    }
    cr_assert_eq(kt_key_table_settle(table, f.engine, handles, N, NULL, &settled, NULL), KT_OK);
    cr_assert(settled);
}

static void close_fixture(void)
{
    kt_key_table_free(table);
    fixture_close(&f);
}

TestSuite(dek_cache, .init = open_fixture, .fini = close_fixture);

static struct kt_dek_cache *opened(size_t slots)
{
    struct kt_dek_cache *cache;
    cr_assert_eq(kt_dek_cache_new(&cache, table, f.engine, slots), KT_OK);
    cr_assert_eq(kt_dek_cache_slots(cache), slots);
    return cache;
}

static void get(struct kt_dek_cache *cache, const uint32_t *numbers, size_t count, const struct kt_key **keys)
{
    uint32_t wanted[N];
    for (size_t i = 0; i < count; i++)
        wanted[i] = handles[numbers[i]];
    cr_assert_eq(kt_dek_cache_get(cache, wanted, count, keys), KT_OK);
    for (size_t i = 0; i < count; i++)
        cr_assert(fixture_is_key(&f, keys[i], numbers[i]));
}

Test(dek_cache, more_keys_than_slots_come_in_turns)
{
    static const size_t slots[] = {1, 2, 3, 64, 65, 130, N, 1000};
    for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++) {
        struct kt_dek_cache *cache = opened(slots[s]);
        size_t step = slots[s] < N ? slots[s] : N;
        const struct kt_key *keys[N];
        uint32_t numbers[N];
        for (int round = 0; round < 2; round++)
            for (uint32_t at = 0; at < N; at += (uint32_t)step) {
                size_t count = N - at < step ? N - at : step;
                for (uint32_t i = 0; i < count; i++)
                    numbers[i] = at + i;
                get(cache, numbers, count, keys);
            }
        kt_dek_cache_free(cache);
    }
}

Test(dek_cache, a_mix_of_old_and_new_keeps_the_old_in_place)
{
    struct kt_dek_cache *cache = opened(8);
    const struct kt_key *first[8], *second[8];
    get(cache, (const uint32_t[]){0, 1, 2, 3, 4, 5, 6, 7}, 8, first);
    get(cache, (const uint32_t[]){20, 21, 3, 22, 0, 23, 24, 25}, 8, second);
    cr_expect_eq(second[2], first[3]);
    cr_expect_eq(second[4], first[0]);
    kt_dek_cache_free(cache);
}

Test(dek_cache, the_least_recently_used_goes_first)
{
    struct kt_dek_cache *cache = opened(4);
    const struct kt_key *all[4], *one[1], *again[1];
    get(cache, (const uint32_t[]){0, 1, 2, 3}, 4, all);
    get(cache, (const uint32_t[]){0}, 1, one);
    cr_expect_eq(one[0], all[0]);
    get(cache, (const uint32_t[]){9}, 1, one);
    cr_expect_eq(one[0], all[1], "1 is the oldest, as 0 was just used");
    get(cache, (const uint32_t[]){0}, 1, again);
    cr_expect_eq(again[0], all[0]);
    kt_dek_cache_free(cache);
}

Test(dek_cache, random_requests_always_give_the_right_keys)
{
    struct kt_dek_cache *cache = opened(37);
    unsigned seed = 12345;
    for (int round = 0; round < 300; round++) {
        const struct kt_key *keys[37];
        uint32_t numbers[37];
        size_t count = (size_t)rand_r(&seed) % 38;
        uint32_t start = (uint32_t)rand_r(&seed) % N, stride = 1 + (uint32_t)rand_r(&seed) % 7;
        for (size_t i = 0; i < count; i++)
            numbers[i] = (uint32_t)(start + i * stride) % N;
        get(cache, numbers, count, keys);
    }
    kt_dek_cache_free(cache);
}

Test(dek_cache, a_name_and_its_id_share_a_slot)
{
    struct kt_dek_cache *cache = opened(2);
    uint32_t wanted[2] = {fixture_name(table, "n7"), handles[7]};
    const struct kt_key *keys[2];
    bool settled;
    cr_assert_eq(kt_key_table_settle(table, f.engine, wanted, 1, NULL, &settled, NULL), KT_OK);
    cr_assert_eq(kt_dek_cache_get(cache, wanted, 2, keys), KT_OK);
    cr_expect_eq(keys[0], keys[1]);
    cr_expect(fixture_is_key(&f, keys[0], 7));
    kt_dek_cache_free(cache);
}

Test(dek_cache, what_is_not_ready_gets_null)
{
    struct kt_dek_cache *cache = opened(4);
    uint32_t wanted[3] = {fixture_handle(table, 9999), handles[1], fixture_name(table, "nobody")};
    const struct kt_key *keys[3];
    cr_assert_eq(kt_dek_cache_get(cache, wanted, 3, keys), KT_OK);
    cr_expect_null(keys[0]);
    cr_expect(fixture_is_key(&f, keys[1], 1));
    cr_expect_null(keys[2]);
    bool settled;
    cr_assert_eq(kt_key_table_settle(table, f.engine, wanted, 3, NULL, &settled, NULL), KT_OK);
    cr_assert_eq(kt_dek_cache_get(cache, wanted, 3, keys), KT_OK);
    cr_expect_null(keys[0]);
    cr_expect_null(keys[2]);
    kt_dek_cache_free(cache);
}

Test(dek_cache, asking_for_more_than_the_slots_is_refused)
{
    struct kt_dek_cache *cache = opened(2);
    const struct kt_key *keys[3];
    cr_expect_eq(kt_dek_cache_get(cache, handles, 3, keys), KT_E_USAGE);
    cr_expect_eq(kt_dek_cache_get(cache, handles, 0, keys), KT_OK);
    kt_dek_cache_free(cache);
}

Test(dek_cache, slots_that_do_not_fit_are_refused_and_leak_nothing)
{
    struct kt_dek_cache *cache = (void *)1;
    size_t before = kt_secmem_available(f.secmem);
    const size_t sizes[] = {0, before / KT_KEY_NBYTES + 1, SIZE_MAX, SIZE_MAX / KT_KEY_NBYTES + 2};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_expect_eq(kt_dek_cache_new(&cache, table, f.engine, sizes[i]), KT_E_NOMEM);
        cr_expect_null(cache);
        cr_expect_eq(kt_secmem_available(f.secmem), before);
    }
    kt_dek_cache_free(NULL);
}

Test(dek_cache, all_locked_memory_is_given_back)
{
    size_t before = kt_secmem_available(f.secmem);
    struct kt_dek_cache *cache = opened(100);
    cr_expect_lt(kt_secmem_available(f.secmem), before - 100 * KT_KEY_NBYTES + 1);
    kt_dek_cache_free(cache);
    cr_expect_eq(kt_secmem_available(f.secmem), before);
}
