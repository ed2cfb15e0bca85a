/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-CBC with AES-NI: eight independent blocks at a time keep the unit busy. */
#ifndef KT_ENGINE_CPU_AVX2_AES_H
#define KT_ENGINE_CPU_AVX2_AES_H

#include "engine/cpu/avx2_vector.h"

#define AES_INLINE static inline __attribute__((always_inline))
#define STREAMS 8

AES_INLINE __m128i load_block(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

AES_INLINE void store_block(uint8_t *p, __m128i x)
{
    _mm_storeu_si128((__m128i *)(void *)p, x);
}

/* Up to eight rows in place: data is where the first row's blocks begin, the chaining block is before them.
 */
AES_INLINE void cbc_streams(const uint8_t (*keys)[GROUP_MAX][16], uint8_t *data, int streams, size_t blocks,
                            bool one_key)
{
    __m128i x[STREAMS];
#pragma GCC unroll 8
    for (int i = 0; i < streams; i++)
        x[i] = load_block(data + ROW_NBYTES * i - 16);
    for (size_t b = 0; b < blocks; b++, data += 16) {
#pragma GCC unroll 8
        for (int i = 0; i < streams; i++)
            x[i] = _mm_xor_si128(_mm_xor_si128(x[i], load_block(data + ROW_NBYTES * i)),
                                 load_block(keys[0][one_key ? 0 : i]));
#pragma GCC unroll 16
        for (int r = 1; r < KT_AES_ROUNDS; r++)
#pragma GCC unroll 8
            for (int i = 0; i < streams; i++)
                x[i] = _mm_aesenc_si128(x[i], load_block(keys[r][one_key ? 0 : i]));
#pragma GCC unroll 8
        for (int i = 0; i < streams; i++) {
            x[i] = _mm_aesenclast_si128(x[i], load_block(keys[KT_AES_ROUNDS][one_key ? 0 : i]));
            store_block(data + ROW_NBYTES * i, x[i]);
        }
    }
}

/* The round keys that cbc_encrypt wants: lane 0's once, or each lane's own. */
static inline void cbc_keys(uint8_t (*to)[GROUP_MAX][16], const struct lane *lanes, unsigned count,
                            bool one_key)
{
    for (unsigned i = 0; i < (one_key ? 1 : count); i++) {
        const struct kt_key *key = lanes[i].key;
#pragma GCC unroll 15
        for (int r = 0; r <= KT_AES_ROUNDS; r++)
            store_block(to[r][i], load_block(key->enc[r]));
    }
}

static inline unsigned cbc_rows(unsigned count)
{
    return (count + STREAMS - 1) / STREAMS * STREAMS;
}

/* blocks blocks of count <= GROUP_MAX rows in place. */
static inline void cbc_encrypt(const uint8_t (*keys)[GROUP_MAX][16], uint8_t *data, unsigned count,
                               size_t blocks, bool one_key)
{
    for (unsigned i = 0; i < count; i += STREAMS, data += (size_t)STREAMS * ROW_NBYTES) {
        const uint8_t(*own)[GROUP_MAX][16] =
            (const uint8_t(*)[GROUP_MAX][16])(const void *)keys[0][one_key ? 0 : i];
        if (count - i == 1)
            cbc_streams(own, data, 1, blocks, one_key);
        else if (one_key)
            cbc_streams(own, data, STREAMS, blocks, true);
        else
            cbc_streams(own, data, STREAMS, blocks, false);
    }
}

/* Eight blocks, two under each key. */
AES_INLINE void decrypt_blocks(__m128i x[STREAMS], const struct kt_key *const keys[4],
                               const __m128i chain[STREAMS])
{
#pragma GCC unroll 8
    for (int i = 0; i < STREAMS; i++)
        x[i] = _mm_xor_si128(x[i], load_block(keys[i / 2]->dec[0]));
#pragma GCC unroll 16
    for (int r = 1; r < KT_AES_ROUNDS; r++)
#pragma GCC unroll 8
        for (int i = 0; i < STREAMS; i++)
            x[i] = _mm_aesdec_si128(x[i], load_block(keys[i / 2]->dec[r]));
#pragma GCC unroll 8
    for (int i = 0; i < STREAMS; i++)
        x[i] =
            _mm_xor_si128(chain[i], _mm_aesdeclast_si128(x[i], load_block(keys[i / 2]->dec[KT_AES_ROUNDS])));
}

/* Decrypts the first nbytes, and up to 16 more, of four rows in place, from the end to the beginning, as each
 * block is chained to what stands before it. */
static inline void cbc_decrypt_rows(uint8_t *data, const struct kt_key *const keys[4], size_t nbytes)
{
    for (size_t at = (nbytes - 1) & ~(size_t)31;; at -= 32) {
        __m128i x[STREAMS], chain[STREAMS];
#pragma GCC unroll 8
        for (int i = 0; i < STREAMS; i++) {
            const uint8_t *p = data + ROW_NBYTES * (i / 2) + at + 16 * (i % 2);
            x[i] = load_block(p);
            chain[i] = load_block(p - 16);
        }
        decrypt_blocks(x, keys, chain);
#pragma GCC unroll 8
        for (int i = 0; i < STREAMS; i++)
            store_block(data + ROW_NBYTES * (i / 2) + at + 16 * (i % 2), x[i]);
        if (at == 0)
            return;
    }
}

/* nbytes (a multiple of 16) of one message's ciphertext; the chaining block stands before it. */
static inline void cbc_decrypt(uint8_t *to, const uint8_t *from, const struct kt_key *key, size_t nbytes)
{
    const struct kt_key *keys[4] = {key, key, key, key};
    for (size_t at = 0; at < nbytes; at += 16 * STREAMS) {
        __m128i x[STREAMS], chain[STREAMS];
        size_t here = (nbytes - at) / 16;
        for (size_t i = 0; i < STREAMS; i++) {
            size_t block = at + 16 * (i < here ? i : 0);
            x[i] = load_block(from + block);
            chain[i] = load_block(from + block - 16);
        }
        decrypt_blocks(x, keys, chain);
        for (size_t i = 0; i < STREAMS && i < here; i++)
            store_block(to + at + 16 * i, x[i]);
    }
}

/* Keys that aes_expand takes at once. */
#define EXPAND_LANES 1

/* SubWord of one word of the block, in all four words. `word` broadcasts it, rotated where RotWord is wanted:
 * with four equal columns ShiftRows changes nothing, so that the last round of AES is SubBytes and the round
 * constant. */
AES_INLINE __m128i sub_word(__m128i x, __m128i word, int constant)
{
    return _mm_aesenclast_si128(_mm_shuffle_epi8(x, word), _mm_set1_epi32(constant));
}

/* Each word of a block becomes the XOR of itself, those before it, and t. */
AES_INLINE __m128i add_words(__m128i x, __m128i t)
{
    x = _mm_xor_si128(x, _mm_slli_si128(x, 4));
    return _mm_xor_si128(_mm_xor_si128(x, t), _mm_slli_si128(x, 8));
}

AES_INLINE void store_round(struct kt_key *to, int r, __m128i x)
{
    store_block(to->enc[r], x);
    store_block(to->dec[KT_AES_ROUNDS - r], r > 0 && r < KT_AES_ROUNDS ? _mm_aesimc_si128(x) : x);
}

/* FIPS 197, section 5.2, for one key of 32 bytes. */
static inline void aes_expand(const uint8_t *from, size_t stride, struct kt_key *const *keys, size_t n)
{
    (void)stride;
    (void)n;
    const __m128i rotated = _mm_set1_epi32(0x0c0f0e0d), straight = _mm_set1_epi32(0x0f0e0d0c);
    __m128i low = load_block(from), high = load_block(from + 16);
    store_round(keys[0], 0, low);
    store_round(keys[0], 1, high);
    for (int r = 2; r <= KT_AES_ROUNDS; r += 2) {
        low = add_words(low, sub_word(high, rotated, 1 << (r / 2 - 1)));
        store_round(keys[0], r, low);
        if (r == KT_AES_ROUNDS)
            break;
        high = add_words(high, sub_word(low, straight, 0));
        store_round(keys[0], r + 1, high);
    }
}

#endif
