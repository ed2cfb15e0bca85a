/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cpu/aes_bits.h"

#include <criterion/criterion.h>
#include <string.h>

#include "engine/cpu/aes_sbox.h"
#include "tests/engine/oracle.h"
#include "tests/engine/rig.h"

/* The S-box from its definition: inverse in GF(2^8), then the affine map of FIPS 197, section 5.1.1. */
static uint8_t times(uint8_t a, uint8_t b)
{
    uint8_t r = 0;
    for (; b; b >>= 1, a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0)))
        r ^= b & 1 ? a : 0;
    return r;
}

static uint8_t sbox(uint8_t x)
{
    uint8_t inverse = 0, y = 0x63;
    for (int i = 1; i < 256; i++)
        if (times(x, (uint8_t)i) == 1)
            inverse = (uint8_t)i;
    for (int k = 0; k < 5; k++)
        y ^= (uint8_t)(inverse << k | inverse >> (8 - k));
    return y;
}

Test(aes_bits, sbox_and_its_inverse_everywhere)
{
    for (int x = 0; x < 256; x++) {
        uint64_t q[8];
        for (int b = 0; b < 8; b++)
            q[b] = x >> b & 1 ? 0xff00ff00ff00ff00 : 0;
        kt_aes_sbox(q);
        for (int b = 0; b < 8; b++) {
            cr_assert_eq(q[b] >> 63, sbox((uint8_t)x) >> b & 1);
            cr_assert_eq(q[b] & 1, sbox(0) >> b & 1);
        }
        kt_aes_inverse_sbox(q);
        for (int b = 0; b < 8; b++)
            cr_assert_eq(q[b] >> 8 & 1, x >> b & 1);
    }
}

/* Four blocks under four keys, each compared with OpenSSL; decryption gives them back. */
Test(aes_bits, four_keys_at_once)
{
    uint64_t seed = rig_seed();
    for (int round = 0; round < 300; round++) {
        uint8_t key[4][32], plain[4][16], blocks[4][16], expected[16], zero[16] = {0};
        uint8_t enc[4][15][16], dec[4][15][16];
        struct kt_aes_bits slices;
        rig_fill(&seed, key[0], sizeof key);
        rig_fill(&seed, plain[0], sizeof plain);
        memcpy(blocks, plain, sizeof blocks);
        for (int i = 0; i < 4; i++)
            kt_aes_expand(key[i], enc[i], dec[i]);
        kt_aes_bits_load(&slices, (const uint8_t(*const[])[16]){enc[0], enc[1], enc[2], enc[3]});
        kt_aes_bits_encrypt(&slices, blocks);
        for (int i = 0; i < 4; i++) {
            oracle_cbc(key[i], zero, plain[i], 16, expected);
            cr_assert_arr_eq(blocks[i], expected, 16);
        }
        kt_aes_bits_load(&slices, (const uint8_t(*const[])[16]){dec[0], dec[1], dec[2], dec[3]});
        kt_aes_bits_decrypt(&slices, blocks);
        cr_assert_arr_eq(blocks[0], plain[0], sizeof plain);
    }
}
