/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 for SHA-512: sixteen messages in two vectors of eight words. */
#ifndef KT_ENGINE_CPU_AVX512_VECTOR_H
#define KT_ENGINE_CPU_AVX512_VECTOR_H

#include <immintrin.h>

#define WIDE_LANES 16

#include "engine/cpu/wide.h"

typedef __m512i V;

#define V_LOAD(p) _mm512_load_si512(p)
#define V_STORE(p, x) _mm512_store_si512(p, x)
#define V_SET1(x) _mm512_set1_epi64((long long)(x))
#define V_ADD(x, y) _mm512_add_epi64(x, y)
#define V_AND(x, y) _mm512_and_si512(x, y)
#define V_ROR(x, n) _mm512_ror_epi64(x, n)
#define V_SHR(x, n) _mm512_srli_epi64(x, n)
#define V_XOR3(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0x96)
#define V_CH(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0xca)
#define V_MAJ(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0xe8)
#define V_GREATER(x, y) _mm512_movm_epi64(_mm512_cmpgt_epu64_mask(x, y))

/* A rotation by whole bytes goes to the shuffle unit: rotations are what the round has most of. */
#define V_ROR_8(x)                                                                                           \
    _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_set_epi64x(0x080f0e0d0c0b0a09, 0x0007060504030201)))

static inline V swap_bytes(V x)
{
    return _mm512_shuffle_epi8(
        x, _mm512_broadcast_i32x4(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607)));
}

/* x[i] word j <-> x[j] word i: within pairs of rows, then by quarters. */
static inline __attribute__((always_inline)) void transpose_8x8(V x[8])
{
    V even[4], odd[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        even[i] = _mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]);
        odd[i] = _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        const V *q = i ? odd : even;
        V low_02 = _mm512_shuffle_i64x2(q[0], q[1], 0x88), low_13 = _mm512_shuffle_i64x2(q[0], q[1], 0xdd);
        V high_02 = _mm512_shuffle_i64x2(q[2], q[3], 0x88), high_13 = _mm512_shuffle_i64x2(q[2], q[3], 0xdd);
        x[i] = _mm512_shuffle_i64x2(low_02, high_02, 0x88);
        x[i + 2] = _mm512_shuffle_i64x2(low_13, high_13, 0x88);
        x[i + 4] = _mm512_shuffle_i64x2(low_02, high_02, 0xdd);
        x[i + 6] = _mm512_shuffle_i64x2(low_13, high_13, 0xdd);
    }
}

/* Four words from `at` on of every row to big-endian words, side by side. Rows 0 1 4 5 are loaded to lower
 * halves and 2 3 6 7 to upper ones, so that two steps of shuffling put all in order. */
static inline __attribute__((always_inline)) void lanes_load(uint64_t (*w)[WIDE_LANES],
                                                             const uint8_t *const rows[WIDE_LANES], size_t at)
{
#pragma GCC unroll 2
    for (int v = 0; v < WIDE_LANES; v += 8) {
        V x[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const uint8_t *const *row = rows + v + (i & 1) + 4 * (i >> 1);
            __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(row[0] + at));
            __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(row[2] + at));
            x[i] = swap_bytes(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
        }
        V even_0 = _mm512_unpacklo_epi64(x[0], x[1]), odd_0 = _mm512_unpackhi_epi64(x[0], x[1]);
        V even_4 = _mm512_unpacklo_epi64(x[2], x[3]), odd_4 = _mm512_unpackhi_epi64(x[2], x[3]);
        V_STORE(&w[0][v], _mm512_shuffle_i64x2(even_0, even_4, 0x88));
        V_STORE(&w[1][v], _mm512_shuffle_i64x2(odd_0, odd_4, 0x88));
        V_STORE(&w[2][v], _mm512_shuffle_i64x2(even_0, even_4, 0xdd));
        V_STORE(&w[3][v], _mm512_shuffle_i64x2(odd_0, odd_4, 0xdd));
    }
}

static inline void lanes_fill(wide_hash h, const uint64_t midstate[8])
{
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        V x = V_SET1(midstate[i]);
        V_STORE(&h[i][0], x);
        V_STORE(&h[i][8], x);
    }
}

/* midstates[i], 64-byte aligned, to lane i, and back. */
static inline void lanes_gather(wide_hash h, const uint64_t *const midstates[WIDE_LANES])
{
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
        V x[8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            x[i] = V_LOAD(midstates[8 * v + i]);
        transpose_8x8(x);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            V_STORE(&h[i][8 * v], x[i]);
    }
}

static inline void lanes_scatter(uint64_t *const midstates[WIDE_LANES], wide_hash h)
{
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
        V x[8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            x[i] = V_LOAD(&h[i][8 * v]);
        transpose_8x8(x);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            V_STORE(midstates[8 * v + i], x[i]);
    }
}

/* Words 0 to 3 of lanes 0, 2, 4, 6 meet in `even`, of 1, 3, 5, 7 in `odd`, 16 bytes of each lane in a
 * quarter. */
static inline void lanes_digests(uint8_t (*to)[32], wide_hash h)
{
    const V first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0),
            last = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++, to += 8) {
        V x[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            x[i] = swap_bytes(V_LOAD(&h[i][8 * v]));
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; odd++) {
            V low = odd ? _mm512_unpackhi_epi64(x[0], x[1]) : _mm512_unpacklo_epi64(x[0], x[1]);
            V high = odd ? _mm512_unpackhi_epi64(x[2], x[3]) : _mm512_unpacklo_epi64(x[2], x[3]);
            V a = _mm512_permutex2var_epi64(low, first, high), b = _mm512_permutex2var_epi64(low, last, high);
            _mm256_store_si256((__m256i *)to[odd], _mm512_castsi512_si256(a));
            _mm256_store_si256((__m256i *)to[odd + 2], _mm512_extracti64x4_epi64(a, 1));
            _mm256_store_si256((__m256i *)to[odd + 4], _mm512_castsi512_si256(b));
            _mm256_store_si256((__m256i *)to[odd + 6], _mm512_extracti64x4_epi64(b, 1));
        }
    }
}

#endif
