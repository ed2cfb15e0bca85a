/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/oracle.h"
#include "tests/engine/rig.h"

static const uint8_t dek[96] = {1, 2, 3, 4, 5, 6, 7, 8, [32] = 9, 10, 11, 12, [64] = 13, 14, 15, 16};

/* Every length right before an unmapped page, and right behind one. */
Test(engine, every_length_between_guard_pages)
{
    EACH_ENGINE(engine)
    {
        uint8_t plain[301], sealed[400], expected[400], opened[400], iv[16] = {42}, aad[18] = {2, 1, 1};
        uint64_t seed = rig_seed();
        rig_fill(&seed, plain, sizeof plain);
        for (size_t i = 0; i <= 601; i++) {
            rig_flush_start = i % 2;
            size_t n = i / 2, opened_nbytes,
                   sealed_nbytes = oracle_seal(dek, n % 2 ? iv : NULL, aad, 18, plain, n, expected);
            uint8_t mode = n % 2 ? KT_MODE_IV_GIVEN : KT_MODE_DETERMINISTIC;
            cr_assert_eq(rig_seal_one(engine, dek, mode, iv, aad, 18, plain, n, sealed), KT_OK);
            cr_assert_arr_eq(sealed, expected, sealed_nbytes);
            cr_assert_eq(rig_open_one(engine, dek, aad, 18, sealed, sealed_nbytes, opened, &opened_nbytes),
                         KT_OK);
            cr_assert_eq(opened_nbytes, n);
            cr_assert_arr_eq(opened, plain, n);
        }
    }
}

Test(engine, every_aad_length)
{
    EACH_ENGINE(engine)
    {
        uint8_t plain[40] = "forty bytes of plaintext, or nearly so", sealed[112], expected[112], opened[64];
        static uint8_t aad[KT_AAD_MAX];
        size_t n;
        uint64_t seed = 7;
        rig_fill(&seed, aad, sizeof aad);
        for (size_t a = 0; a <= KT_AAD_MAX; a += a < 600 ? 1 : 1201) {
            oracle_seal(dek, NULL, aad, a, plain, sizeof plain, expected);
            cr_assert_eq(
                rig_seal_one(engine, dek, KT_MODE_DETERMINISTIC, NULL, aad, a, plain, sizeof plain, sealed),
                KT_OK);
            cr_assert_arr_eq(sealed, expected, KT_SEALED_NBYTES(sizeof plain));
            cr_assert_eq(
                rig_open_one(engine, dek, aad, a, sealed, KT_SEALED_NBYTES(sizeof plain), opened, &n), KT_OK);
        }
    }
}

Test(engine, large_messages)
{
    EACH_ENGINE(engine)
    {
        size_t sizes[] = {1000, 1024, 4096, 65535, 65536, 1000003}, opened_nbytes;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = sizes[i], m = KT_SEALED_NBYTES(n);
            uint8_t *plain = malloc(n), *sealed = malloc(m), *expected = malloc(m), *opened = malloc(m);
            uint64_t seed = n;
            rig_fill(&seed, plain, n);
            oracle_seal(dek, NULL, NULL, 0, plain, n, expected);
            cr_assert_eq(rig_seal_one(engine, dek, KT_MODE_DETERMINISTIC, NULL, NULL, 0, plain, n, sealed),
                         KT_OK);
            cr_assert(memcmp(sealed, expected, m) == 0, "%zu bytes", n);
            cr_assert_eq(rig_open_one(engine, dek, NULL, 0, sealed, m, opened, &opened_nbytes), KT_OK);
            cr_assert(opened_nbytes == n && memcmp(opened, plain, n) == 0, "%zu bytes", n);
            free(plain), free(sealed), free(expected), free(opened);
        }
    }
}

Test(engine, every_tampered_bit_is_refused)
{
    EACH_ENGINE(engine)
    {
        uint8_t aad[18] = {1, 2, 3}, plain[20] = "a value", sealed[80], opened[32];
        size_t n;
        cr_assert_eq(
            rig_seal_one(engine, dek, KT_MODE_DETERMINISTIC, NULL, aad, 18, plain, sizeof plain, sealed),
            KT_OK);
        for (size_t bit = 0; bit < 8 * (18 + sizeof sealed); bit++) {
            uint8_t *at = bit / 8 < 18 ? &aad[bit / 8] : &sealed[bit / 8 - 18];
            *at ^= (uint8_t)(1 << bit % 8);
            cr_assert_eq(rig_open_one(engine, dek, aad, 18, sealed, sizeof sealed, opened, &n),
                         KT_E_UNAUTHENTIC);
            *at ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert_eq(rig_open_one(engine, dek, aad, 17, sealed, sizeof sealed, opened, &n), KT_E_UNAUTHENTIC);
        cr_assert_eq(rig_open_one(engine, dek, aad, 18, sealed, sizeof sealed, opened, &n), KT_OK);
    }
}

/* Authentic messages whose last block ends in anything but PKCS#7: every last byte, and each wrong byte
 * within. */
Test(engine, wrong_padding_is_refused)
{
    EACH_ENGINE(engine)
    {
        for (unsigned last = 0; last < 256; last++) {
            for (unsigned wrong = 0; wrong < 16; wrong++) {
                uint8_t blocks[32], sealed[80], opened[48];
                size_t n;
                memset(blocks, (int)last, sizeof blocks);
                if (wrong < 15)
                    blocks[16 + wrong] ^= 0x40;
                memset(sealed, 7, 16);
                oracle_cbc(dek + 32, sealed, blocks, sizeof blocks, sealed + 16);
                oracle_tag(dek, NULL, 0, sealed, 48, sealed + 48);
                bool legal = last >= 1 && last <= 16 && (wrong == 15 || wrong < 16 - last);
                cr_assert_eq(rig_open_one(engine, dek, NULL, 0, sealed, sizeof sealed, opened, &n),
                             legal ? KT_OK : KT_E_UNAUTHENTIC, "last byte %u, wrong byte %u", last, wrong);
                cr_assert(!legal || n == 32 - last);
            }
        }
    }
}

Test(engine, illegal_lengths_fail_alone)
{
    EACH_ENGINE(engine)
    {
        uint8_t sealed[2048] = {0}, out[2048];
        struct rig_keys k = rig_keys(engine, dek, 1);
        for (uint32_t n = 0; n < 200; n++) {
            if (n >= 64 && n % 16 == 0)
                continue;
            cr_assert_eq(rig_seal_one(engine, dek, KT_MODE_RANDOM, NULL, NULL, 0, out, 10, sealed + 1024),
                         KT_OK);
            struct kt_msg msgs[2] = {{.in = 0, .in_nbytes = n, .out = 0},
                                     {.in = 1024, .in_nbytes = 64, .out = 1024}};
            struct kt_batch b = {sealed, sizeof sealed, out, sizeof out, (const struct kt_key *const *)k.keys,
                                 1,      msgs,          2};
            cr_assert_eq(kt_open(engine, &b), KT_E_ITEM);
            cr_assert_eq(msgs[0].status, KT_E_VALUE);
            cr_assert_eq(msgs[1].status, KT_OK);
        }
        rig_keys_free(&k);
    }
}

Test(engine, message_without_key_is_passed_over)
{
    EACH_ENGINE(engine)
    {
        uint8_t in[64] = {0}, out[256];
        memset(out, 0xa5, sizeof out);
        struct rig_keys k = rig_keys(engine, dek, 1);
        const struct kt_key *keys[2] = {NULL, k.keys[0]};
        struct kt_msg msgs[2] = {{.in_nbytes = 9, .out = 0, .key = 0}, {.in_nbytes = 9, .out = 64, .key = 1}};
        struct kt_batch b = {in, sizeof in, out, sizeof out, keys, 2, msgs, 2};
        cr_assert_eq(kt_seal(engine, &b), KT_E_ITEM);
        cr_assert_eq(msgs[0].status, KT_E_KEY);
        cr_assert_eq(msgs[1].status, KT_OK);
        for (int i = 0; i < 64; i++)
            cr_assert_eq(out[i], 0xa5);
        for (int i = 128; i < 256; i++)
            cr_assert_eq(out[i], 0xa5);
        rig_keys_free(&k);
    }
}

/* Each message breaks one rule; the legal one beside it must stay untouched. */
Test(engine, bad_batches_are_refused_whole)
{
    EACH_ENGINE(engine)
    {
        uint8_t in[256] = {0}, out[256];
        struct rig_keys k = rig_keys(engine, dek, 1);
        const struct kt_msg good = {.in_nbytes = 10, .out = 20, .aad_nbytes = 18};
        struct kt_msg bad[] = {
            {.in = 250, .in_nbytes = 10, .out = 100},       {.in = UINT32_MAX, .in_nbytes = 1, .out = 100},
            {.in = 0, .in_nbytes = UINT32_MAX, .out = 100}, {.in_nbytes = 10, .out = 193},
            {.in_nbytes = 10, .out = UINT32_MAX},           {.in_nbytes = 10, .out = 17, .aad_nbytes = 18},
            {.in_nbytes = 10, .out = 100, .key = 1},        {.in_nbytes = 10, .out = 100, .mode = 3},
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct kt_msg msgs[2] = {good, bad[i]};
            memset(out, 0xa5, sizeof out);
            struct kt_batch b = {in, sizeof in, out, sizeof out, (const struct kt_key *const *)k.keys,
                                 1,  msgs,      2};
            cr_assert_eq(kt_seal(engine, &b), KT_E_USAGE, "case %zu", i);
            for (size_t j = 0; j < sizeof out; j++)
                cr_assert_eq(out[j], 0xa5, "case %zu", i);
            cr_assert_arr_eq(&msgs[0], &good, sizeof good);
        }
        struct kt_msg open_bad[] = {{.in = 200, .in_nbytes = 64},
                                    {.in = 17, .in_nbytes = 64, .aad_nbytes = 18},
                                    {.in = 0, .in_nbytes = 64, .out = 241},
                                    {.in = 0, .in_nbytes = 64, .key = 9}};
        for (size_t i = 0; i < sizeof open_bad / sizeof open_bad[0]; i++) {
            struct kt_batch b = {in, sizeof in,    out, sizeof out, (const struct kt_key *const *)k.keys,
                                 1,  &open_bad[i], 1};
            cr_assert_eq(kt_open(engine, &b), KT_E_USAGE, "case %zu", i);
        }
        rig_keys_free(&k);
    }
}

Test(engine, empty_batch)
{
    EACH_ENGINE(engine)
    {
        struct kt_batch b = {0};
        cr_assert_eq(kt_seal(engine, &b), KT_OK);
        cr_assert_eq(kt_open(engine, &b), KT_OK);
        kt_keys_prepare(engine, NULL, NULL, 0);
    }
}

/* Random IVs: all different, also across draws and engines. */
Test(engine, random_ivs_never_repeat)
{
    enum { COUNT = 3000 };
    EACH_ENGINE(engine)
    {
        static uint8_t in[16], out[COUNT * 64];
        static struct kt_msg msgs[COUNT];
        struct rig_keys k = rig_keys(engine, dek, 1);
        for (uint32_t i = 0; i < COUNT; i++)
            msgs[i] = (struct kt_msg){.in_nbytes = 4, .out = 64 * i};
        struct kt_batch b = {in, sizeof in, out,  sizeof out, (const struct kt_key *const *)k.keys,
                             1,  msgs,      COUNT};
        cr_assert_eq(kt_seal(engine, &b), KT_OK);
        for (uint32_t i = 0; i < COUNT; i++)
            for (uint32_t j = 0; j < i; j++)
                cr_assert(memcmp(out + 64 * i, out + 64 * j, 16) != 0, "%u and %u", i, j);
        rig_keys_free(&k);
    }
}

/* Keys that one backend prepared serve the others, byte for byte. */
Test(engine, prepared_keys_are_the_same_for_all)
{
    uint8_t deks[21][96];
    uint64_t seed = rig_seed();
    rig_fill(&seed, deks[0], sizeof deks);
    struct kt_engine *first = rig_engine(0);
    struct rig_keys reference = rig_keys(first, deks[0], 21);
    EACH_ENGINE(engine)
    {
        for (size_t n = 1; n <= 21; n++) {
            struct rig_keys k = rig_keys(engine, deks[0], n);
            cr_assert(memcmp(k.memory, reference.memory, n * KT_KEY_NBYTES) == 0, "%s, %zu keys",
                      kt_engine_backend(engine), n);
            rig_keys_free(&k);
        }
    }
    rig_keys_free(&reference);
    kt_engine_close(first);
}
