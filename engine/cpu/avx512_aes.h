/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-CBC with VAES: four blocks in a vector. Encrypting, the four are of four messages, since CBC is
 * serial within one; decrypting, they are neighbours in one message. */
#ifndef KT_ENGINE_CPU_AVX512_AES_H
#define KT_ENGINE_CPU_AVX512_AES_H

#include "engine/cpu/avx512_vector.h"

#define AES_INLINE static inline __attribute__((always_inline))

/* The block at p of four rows. */
AES_INLINE __m512i load_4(const uint8_t *p, size_t stride)
{
    __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
    x = _mm512_inserti64x2(x, _mm_loadu_si128((const __m128i *)(p + stride)), 1);
    x = _mm512_inserti64x2(x, _mm_loadu_si128((const __m128i *)(p + 2 * stride)), 2);
    return _mm512_inserti64x2(x, _mm_loadu_si128((const __m128i *)(p + 3 * stride)), 3);
}

AES_INLINE void store_4(uint8_t *p, size_t stride, __m512i x)
{
    _mm_storeu_si128((__m128i *)p, _mm512_castsi512_si128(x));
    _mm_storeu_si128((__m128i *)(p + stride), _mm512_extracti64x2_epi64(x, 1));
    _mm_storeu_si128((__m128i *)(p + 2 * stride), _mm512_extracti64x2_epi64(x, 2));
    _mm_storeu_si128((__m128i *)(p + 3 * stride), _mm512_extracti64x2_epi64(x, 3));
}

/* Vector v of round key r: the lanes' own, or one key for all. */
AES_INLINE __m512i round_key(const uint8_t (*keys)[GROUP_MAX][16], int r, int v, bool one_key)
{
    return _mm512_load_si512(keys[r][one_key ? 0 : 4 * v]);
}

/* 4 * vectors rows in place: data is where the first row's blocks begin, the chaining block is before them.
 */
AES_INLINE void cbc_vectors(const uint8_t (*keys)[GROUP_MAX][16], uint8_t *data, int vectors, size_t blocks,
                            bool one_key)
{
    const size_t stride = ROW_NBYTES, step = 4 * stride;
    __m512i x[8];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        x[v] = load_4(data - 16 + step * (size_t)v, stride);
    for (size_t b = 0; b < blocks; b++, data += 16) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            __m512i whitened =
                _mm512_xor_si512(load_4(data + step * (size_t)v, stride), round_key(keys, 0, v, one_key));
            x[v] = _mm512_xor_si512(x[v], whitened);
        }
#pragma GCC unroll 16
        for (int r = 1; r < KT_AES_ROUNDS; r++)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                x[v] = _mm512_aesenc_epi128(x[v], round_key(keys, r, v, one_key));
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            x[v] = _mm512_aesenclast_epi128(x[v], round_key(keys, KT_AES_ROUNDS, v, one_key));
            store_4(data + step * (size_t)v, stride, x[v]);
        }
    }
}

/* The round keys that cbc_encrypt wants: key 0 in all lanes, or each lane's own. lanes has keys up to a
 * multiple of four. */
static inline void cbc_keys(uint8_t (*to)[GROUP_MAX][16], const struct lane *lanes, unsigned count,
                            bool one_key)
{
    for (unsigned i = 0; i < (one_key ? 1 : count); i += 4) {
        const struct kt_key *a = lanes[i].key, *b = one_key ? a : lanes[i + 1].key;
        const struct kt_key *c = one_key ? a : lanes[i + 2].key, *d = one_key ? a : lanes[i + 3].key;
#pragma GCC unroll 15
        for (int r = 0; r <= KT_AES_ROUNDS; r++) {
            __m512i x = _mm512_castsi128_si512(_mm_load_si128((const __m128i *)a->enc[r]));
            x = _mm512_inserti64x2(x, _mm_load_si128((const __m128i *)b->enc[r]), 1);
            x = _mm512_inserti64x2(x, _mm_load_si128((const __m128i *)c->enc[r]), 2);
            x = _mm512_inserti64x2(x, _mm_load_si128((const __m128i *)d->enc[r]), 3);
            _mm512_store_si512(to[r][i], x);
        }
    }
}

static inline unsigned cbc_rows(unsigned count)
{
    return count <= 4 ? 4 : GROUP_MAX;
}

/* blocks blocks of count <= GROUP_MAX rows in place. */
static inline void cbc_encrypt(const uint8_t (*keys)[GROUP_MAX][16], uint8_t *data, unsigned count,
                               size_t blocks, bool one_key)
{
    if (count <= 4)
        cbc_vectors(keys, data, 1, blocks, one_key);
    else if (one_key)
        cbc_vectors(keys, data, 8, blocks, true);
    else
        cbc_vectors(keys, data, 8, blocks, false);
}

AES_INLINE __m512i dec_key(const struct kt_key *key, int r)
{
    return _mm512_broadcast_i64x2(_mm_load_si128((const __m128i *)key->dec[r]));
}

/* Four vectors of ciphertext, each under its own key; chain: the same shifted by a block. */
AES_INLINE void decrypt_vectors(__m512i x[4], const struct kt_key *const keys[4], const __m512i chain[4])
{
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
        x[v] = _mm512_xor_si512(x[v], dec_key(keys[v], 0));
#pragma GCC unroll 16
    for (int r = 1; r < KT_AES_ROUNDS; r++)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            x[v] = _mm512_aesdec_epi128(x[v], dec_key(keys[v], r));
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
        x[v] = _mm512_xor_si512(chain[v], _mm512_aesdeclast_epi128(x[v], dec_key(keys[v], KT_AES_ROUNDS)));
}

/* Decrypts the first nbytes, and up to 48 more, of four rows in place, from the end to the beginning, as each
 * vector is chained to what stands before it. */
static inline void cbc_decrypt_rows(uint8_t *data, const struct kt_key *const keys[4], size_t nbytes)
{
    for (size_t at = (nbytes - 1) & ~(size_t)63;; at -= 64) {
        __m512i x[4], chain[4];
        for (int v = 0; v < 4; v++) {
            x[v] = _mm512_loadu_si512(data + ROW_NBYTES * (size_t)v + at);
            chain[v] = _mm512_loadu_si512(data + ROW_NBYTES * (size_t)v + at - 16);
        }
        decrypt_vectors(x, keys, chain);
        for (int v = 0; v < 4; v++)
            _mm512_storeu_si512(data + ROW_NBYTES * (size_t)v + at, x[v]);
        if (at == 0)
            return;
    }
}

/* nbytes (a multiple of 16) of one message's ciphertext; the chaining block stands before it. */
static inline void cbc_decrypt(uint8_t *to, const uint8_t *from, const struct kt_key *key, size_t nbytes)
{
    const struct kt_key *keys[4] = {key, key, key, key};
    for (; nbytes > 0; to += 256, from += 256) {
        __m512i x[4], chain[4];
        __mmask8 words[4];
        for (int v = 0; v < 4; v++) {
            size_t here = nbytes < 64 ? nbytes : 64;
            words[v] = (__mmask8)_bzhi_u32(0xff, (unsigned)here / 8);
            x[v] = _mm512_maskz_loadu_epi64(words[v], from + 64 * v);
            chain[v] = _mm512_maskz_loadu_epi64(words[v], from + 64 * v - 16);
            nbytes -= here;
        }
        decrypt_vectors(x, keys, chain);
        for (int v = 0; v < 4; v++)
            _mm512_mask_storeu_epi64(to + 64 * v, words[v], x[v]);
    }
}

/* Keys that aes_expand takes at once. */
#define EXPAND_LANES 4

/* SubWord of one word of each block, in all four words. `word` broadcasts it, rotated where RotWord is
 * wanted: with four equal columns ShiftRows changes nothing, so that the last round of AES is SubBytes and
 * the round constant. */
AES_INLINE __m512i sub_word(__m512i x, __m512i word, int constant)
{
    return _mm512_aesenclast_epi128(_mm512_shuffle_epi8(x, word), _mm512_set1_epi32(constant));
}

/* Each word of a block becomes the XOR of itself, those before it, and t. */
AES_INLINE __m512i add_words(__m512i x, __m512i t)
{
    x = _mm512_xor_si512(x, _mm512_bslli_epi128(x, 4));
    return _mm512_ternarylogic_epi64(x, t, _mm512_bslli_epi128(x, 8), 0x96);
}

/* There is no vector instruction for InvMixColumns; a last round of AES, undone by a round of the inverse, is
 * it. */
AES_INLINE __m512i inverse_mix_columns(__m512i x)
{
    return _mm512_aesdec_epi128(_mm512_aesenclast_epi128(x, _mm512_setzero_si512()), _mm512_setzero_si512());
}

AES_INLINE void store_round(struct kt_key *const to[4], int r, __m512i x)
{
    bool inner = r > 0 && r < KT_AES_ROUNDS;
    __m512i d = inner ? inverse_mix_columns(x) : x;
    int i = KT_AES_ROUNDS - r;
    _mm_store_si128((__m128i *)to[0]->enc[r], _mm512_castsi512_si128(x));
    _mm_store_si128((__m128i *)to[1]->enc[r], _mm512_extracti64x2_epi64(x, 1));
    _mm_store_si128((__m128i *)to[2]->enc[r], _mm512_extracti64x2_epi64(x, 2));
    _mm_store_si128((__m128i *)to[3]->enc[r], _mm512_extracti64x2_epi64(x, 3));
    _mm_store_si128((__m128i *)to[0]->dec[i], _mm512_castsi512_si128(d));
    _mm_store_si128((__m128i *)to[1]->dec[i], _mm512_extracti64x2_epi64(d, 1));
    _mm_store_si128((__m128i *)to[2]->dec[i], _mm512_extracti64x2_epi64(d, 2));
    _mm_store_si128((__m128i *)to[3]->dec[i], _mm512_extracti64x2_epi64(d, 3));
}

/* FIPS 197, section 5.2, for n <= EXPAND_LANES keys of 32 bytes, `stride` apart. */
static inline void aes_expand(const uint8_t *from, size_t stride, struct kt_key *const *keys, size_t n)
{
    const __m512i rotated = _mm512_set1_epi32(0x0c0f0e0d), straight = _mm512_set1_epi32(0x0f0e0d0c);
    struct kt_key *const to[4] = {keys[0], keys[n > 1], keys[n > 2 ? 2 : 0], keys[n > 3 ? 3 : 0]};
    __m512i low = _mm512_setzero_si512(), high = low;
    for (size_t i = 0; i < 4; i++) {
        const __m128i *key = (const __m128i *)(from + stride * (i < n ? i : 0));
        __mmask8 quarter = (__mmask8)(3 << 2 * i);
        low = _mm512_mask_broadcast_i64x2(low, quarter, _mm_loadu_si128(key));
        high = _mm512_mask_broadcast_i64x2(high, quarter, _mm_loadu_si128(key + 1));
    }
    store_round(to, 0, low);
    store_round(to, 1, high);
    for (int r = 2; r <= KT_AES_ROUNDS; r += 2) {
        low = add_words(low, sub_word(high, rotated, 1 << (r / 2 - 1)));
        store_round(to, r, low);
        if (r == KT_AES_ROUNDS)
            break;
        high = add_words(high, sub_word(low, straight, 0));
        store_round(to, r + 1, high);
    }
}

#endif
