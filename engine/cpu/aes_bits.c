/* SPDX-License-Identifier: Apache-2.0 */
/* Bit p of slice b is bit b of one state byte: p = 16 * row + 4 * column + block. Then ShiftRows is a
 * rotation inside each group of 16 bits, and the rows that MixColumns adds up are 16 bits apart. */
#include "engine/cpu/aes_bits.h"

#include <string.h>

#include "engine/backend.h"
#include "engine/cpu/aes_sbox.h"

static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Bytes of x to the even bytes of the result, and back. */
static inline uint64_t spread(uint32_t x)
{
    uint64_t v = x;
    v = (v | v << 16) & 0x0000ffff0000ffff;
    return (v | v << 8) & 0x00ff00ff00ff00ff;
}

static inline uint32_t gather(uint64_t v)
{
    v &= 0x00ff00ff00ff00ff;
    v = (v | v >> 8) & 0x0000ffff0000ffff;
    return (uint32_t)(v | v >> 16);
}

static inline void swap_bits(uint64_t *a, uint64_t *b, uint64_t mask, unsigned n)
{
    uint64_t t = (*a >> n ^ *b) & mask;
    *b ^= t;
    *a ^= t << n;
}

/* Transposes the 8 x 8 bits that the byte k of all eight words makes up, for each k. Its own inverse. */
static void transpose(uint64_t q[8])
{
    for (int i = 0; i < 8; i += 2)
        swap_bits(&q[i], &q[i + 1], 0x5555555555555555, 1);
    for (int i = 0; i < 8; i += 4)
        for (int j = i; j < i + 2; j++)
            swap_bits(&q[j], &q[j + 2], 0x3333333333333333, 2);
    for (int i = 0; i < 4; i++)
        swap_bits(&q[i], &q[i + 4], 0x0f0f0f0f0f0f0f0f, 4);
}

/* Byte k of word j becomes bit 8k + j, so word 4 * (column & 1) + block takes byte 2 * row + column / 2. */
static void slice(uint64_t q[8], const uint8_t *const blocks[KT_AES_BITS_BLOCKS])
{
    for (int i = 0; i < KT_AES_BITS_BLOCKS; i++) {
        q[i] = spread(load_le32(blocks[i])) | spread(load_le32(blocks[i] + 8)) << 8;
        q[i + 4] = spread(load_le32(blocks[i] + 4)) | spread(load_le32(blocks[i] + 12)) << 8;
    }
    transpose(q);
}

static void unslice(uint64_t q[8], uint8_t blocks[KT_AES_BITS_BLOCKS][16])
{
    transpose(q);
    for (int i = 0; i < KT_AES_BITS_BLOCKS; i++) {
        store_le32(blocks[i], gather(q[i]));
        store_le32(blocks[i] + 8, gather(q[i] >> 8));
        store_le32(blocks[i] + 4, gather(q[i + 4]));
        store_le32(blocks[i] + 12, gather(q[i + 4] >> 8));
    }
}

static inline void add_round_key(uint64_t q[8], const uint64_t key[8])
{
    for (int b = 0; b < 8; b++)
        q[b] ^= key[b];
}

/* Row r, 16 bits: column c takes column c + r, four bits each. */
static inline void shift_rows(uint64_t q[8])
{
    for (int b = 0; b < 8; b++) {
        uint64_t x = q[b];
        q[b] = (x & 0x000000000000ffff) | (x >> 4 & 0x000000000fff0000) | (x << 12 & 0x00000000f0000000) |
               (x >> 8 & 0x000000ff00000000) | (x << 8 & 0x0000ff0000000000) |
               (x >> 12 & 0x000f000000000000) | (x << 4 & 0xfff0000000000000);
    }
}

static inline void inverse_shift_rows(uint64_t q[8])
{
    for (int b = 0; b < 8; b++) {
        uint64_t x = q[b];
        q[b] = (x & 0x000000000000ffff) | (x << 4 & 0x00000000fff00000) | (x >> 12 & 0x00000000000f0000) |
               (x >> 8 & 0x000000ff00000000) | (x << 8 & 0x0000ff0000000000) |
               (x << 12 & 0xf000000000000000) | (x >> 4 & 0x0fff000000000000);
    }
}

static inline uint64_t rotr(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

/* Multiplies every byte by x modulo x^8 + x^4 + x^3 + x + 1. */
static inline void times_2(uint64_t out[8], const uint64_t in[8])
{
    for (int b = 7; b > 0; b--)
        out[b] = in[b - 1] ^ (b == 1 || b == 3 || b == 4 ? in[7] : 0);
    out[0] = in[7];
}

/* Row r becomes 2 a[r] + 3 a[r+1] + a[r+2] + a[r+3] = 2 (a[r] + a[r+1]) + a[r+1] + a[r+2] + a[r+3]. */
static inline void mix_columns(uint64_t q[8])
{
    uint64_t pair[8], twice[8];
    for (int b = 0; b < 8; b++)
        pair[b] = q[b] ^ rotr(q[b], 16);
    times_2(twice, pair);
    for (int b = 0; b < 8; b++)
        q[b] = twice[b] ^ rotr(q[b], 16) ^ rotr(pair[b], 32);
}

/* InvMixColumns = MixColumns after adding 4 (a[r] + a[r+2]) to each row: 0e 0b 0d 09 = (02 03 01 01)(05 00 04
 * 00) as polynomials modulo x^4 + 1. */
static inline void inverse_mix_columns(uint64_t q[8])
{
    uint64_t pair[8], twice[8], four[8];
    for (int b = 0; b < 8; b++)
        pair[b] = q[b] ^ rotr(q[b], 32);
    times_2(twice, pair);
    times_2(four, twice);
    for (int b = 0; b < 8; b++)
        q[b] ^= four[b];
    mix_columns(q);
}

void kt_aes_bits_load(struct kt_aes_bits *keys, const uint8_t (*const schedules[KT_AES_BITS_BLOCKS])[16])
{
    for (int r = 0; r <= KT_AES_ROUNDS; r++) {
        const uint8_t *blocks[KT_AES_BITS_BLOCKS];
        for (int i = 0; i < KT_AES_BITS_BLOCKS; i++)
            blocks[i] = schedules[i][r];
        slice(keys->round[r], blocks);
    }
}

static void slice_blocks(uint64_t q[8], uint8_t blocks[KT_AES_BITS_BLOCKS][16])
{
    const uint8_t *from[KT_AES_BITS_BLOCKS] = {blocks[0], blocks[1], blocks[2], blocks[3]};
    slice(q, from);
}

void kt_aes_bits_encrypt(const struct kt_aes_bits *keys, uint8_t blocks[KT_AES_BITS_BLOCKS][16])
{
    uint64_t q[8];
    slice_blocks(q, blocks);
    add_round_key(q, keys->round[0]);
    for (int r = 1; r < KT_AES_ROUNDS; r++) {
        kt_aes_sbox(q);
        shift_rows(q);
        mix_columns(q);
        add_round_key(q, keys->round[r]);
    }
    kt_aes_sbox(q);
    shift_rows(q);
    add_round_key(q, keys->round[KT_AES_ROUNDS]);
    unslice(q, blocks);
}

/* The equivalent inverse cipher, FIPS 197, section 5.3.5. */
void kt_aes_bits_decrypt(const struct kt_aes_bits *keys, uint8_t blocks[KT_AES_BITS_BLOCKS][16])
{
    uint64_t q[8];
    slice_blocks(q, blocks);
    add_round_key(q, keys->round[0]);
    for (int r = 1; r < KT_AES_ROUNDS; r++) {
        kt_aes_inverse_sbox(q);
        inverse_shift_rows(q);
        inverse_mix_columns(q);
        add_round_key(q, keys->round[r]);
    }
    kt_aes_inverse_sbox(q);
    inverse_shift_rows(q);
    add_round_key(q, keys->round[KT_AES_ROUNDS]);
    unslice(q, blocks);
}

/* SubWord on the four bytes of a word; the slices' other bits idle. */
static void sub_word(uint8_t word[4])
{
    uint64_t q[8] = {0};
    for (int i = 0; i < 4; i++)
        for (int b = 0; b < 8; b++)
            q[b] |= (uint64_t)(word[i] >> b & 1) << i;
    kt_aes_sbox(q);
    for (int i = 0; i < 4; i++) {
        word[i] = 0;
        for (int b = 0; b < 8; b++)
            word[i] |= (uint8_t)((q[b] >> i & 1) << b);
    }
}

/* Section 5.2 with Nk = 8: every eighth word is rotated and substituted, the fourth after it substituted. */
static void expand_enc(const uint8_t key[32], uint8_t (*enc)[16])
{
    uint8_t *w = (uint8_t *)enc;
    memcpy(w, key, 32);
    for (int i = 8; i < 4 * (KT_AES_ROUNDS + 1); i++) {
        uint8_t t[4];
        memcpy(t, w + 4 * (i - 1), 4);
        if (i % 8 == 0) {
            uint8_t first = t[0];
            t[0] = t[1], t[1] = t[2], t[2] = t[3], t[3] = first;
            sub_word(t);
            t[0] ^= (uint8_t)(1 << (i / 8 - 1));
        } else if (i % 8 == 4) {
            sub_word(t);
        }
        for (int j = 0; j < 4; j++)
            w[4 * i + j] = w[4 * (i - 8) + j] ^ t[j];
        kt_backend_wipe(t, sizeof t);
    }
}

void kt_aes_expand(const uint8_t key[32], uint8_t enc[KT_AES_ROUNDS + 1][16],
                   uint8_t dec[KT_AES_ROUNDS + 1][16])
{
    expand_enc(key, enc);
    for (int r = 0; r <= KT_AES_ROUNDS; r++)
        memcpy(dec[r], enc[KT_AES_ROUNDS - r], 16);
    for (int r = 1; r < KT_AES_ROUNDS; r += KT_AES_BITS_BLOCKS) {
        uint8_t blocks[KT_AES_BITS_BLOCKS][16] = {{0}};
        int n = KT_AES_ROUNDS - r < KT_AES_BITS_BLOCKS ? KT_AES_ROUNDS - r : KT_AES_BITS_BLOCKS;
        uint64_t q[8];
        memcpy(blocks, dec[r], 16 * (size_t)n);
        slice_blocks(q, blocks);
        inverse_mix_columns(q);
        unslice(q, blocks);
        memcpy(dec[r], blocks, 16 * (size_t)n);
        kt_backend_wipe(blocks, sizeof blocks);
    }
}
