/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 for SHA-512: four messages in one vector. Sixteen registers hold no second one. */
#ifndef KT_ENGINE_CPU_AVX2_VECTOR_H
#define KT_ENGINE_CPU_AVX2_VECTOR_H

#include <immintrin.h>

#define WIDE_LANES 4

#include "engine/cpu/wide.h"

typedef __m256i V;

#define V_LOAD(p) _mm256_load_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, x) _mm256_store_si256((__m256i *)(void *)(p), x)
#define V_SET1(x) _mm256_set1_epi64x((long long)(x))
#define V_ADD(x, y) _mm256_add_epi64(x, y)
#define V_AND(x, y) _mm256_and_si256(x, y)
#define V_XOR(x, y) _mm256_xor_si256(x, y)
#define V_SHR(x, n) _mm256_srli_epi64(x, n)
#define V_ROR(x, n) _mm256_or_si256(_mm256_srli_epi64(x, n), _mm256_slli_epi64(x, 64 - (n)))
#define V_XOR3(x, y, z) V_XOR(V_XOR(x, y), z)
#define V_CH(x, y, z) V_XOR(z, V_AND(x, V_XOR(y, z)))
#define V_MAJ(x, y, z) V_XOR(y, V_AND(V_XOR(x, y), V_XOR(y, z)))
#define V_GREATER(x, y) _mm256_cmpgt_epi64(x, y)
#define V_ROR_8(x)                                                                                           \
    _mm256_shuffle_epi8(x, _mm256_set_epi64x(0x080f0e0d0c0b0a09, 0x0007060504030201, 0x080f0e0d0c0b0a09,     \
                                             0x0007060504030201))

static inline V swap_bytes(V x)
{
    return _mm256_shuffle_epi8(
        x, _mm256_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607, 0x08090a0b0c0d0e0f, 0x0001020304050607));
}

/* x[i] word j <-> x[j] word i */
static inline __attribute__((always_inline)) void transpose_4x4(V x[4])
{
    V a = _mm256_unpacklo_epi64(x[0], x[1]), b = _mm256_unpackhi_epi64(x[0], x[1]);
    V c = _mm256_unpacklo_epi64(x[2], x[3]), d = _mm256_unpackhi_epi64(x[2], x[3]);
    x[0] = _mm256_permute2x128_si256(a, c, 0x20);
    x[1] = _mm256_permute2x128_si256(b, d, 0x20);
    x[2] = _mm256_permute2x128_si256(a, c, 0x31);
    x[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

/* Four words from `at` on of every row to big-endian words, side by side. */
static inline __attribute__((always_inline)) void lanes_load(uint64_t (*w)[WIDE_LANES],
                                                             const uint8_t *const rows[WIDE_LANES], size_t at)
{
    V x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        x[i] = swap_bytes(_mm256_loadu_si256((const __m256i *)(const void *)(rows[i] + at)));
    transpose_4x4(x);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        V_STORE(w[i], x[i]);
}

static inline void lanes_fill(wide_hash h, const uint64_t midstate[8])
{
    for (int i = 0; i < 8; i++)
        V_STORE(h[i], V_SET1(midstate[i]));
}

/* midstates[i], 64-byte aligned, to lane i, and back. */
static inline void lanes_gather(wide_hash h, const uint64_t *const midstates[WIDE_LANES])
{
    for (int half = 0; half < 8; half += 4) {
        V x[4] = {V_LOAD(midstates[0] + half), V_LOAD(midstates[1] + half), V_LOAD(midstates[2] + half),
                  V_LOAD(midstates[3] + half)};
        transpose_4x4(x);
        for (int i = 0; i < 4; i++)
            V_STORE(h[half + i], x[i]);
    }
}

static inline void lanes_scatter(uint64_t *const midstates[WIDE_LANES], wide_hash h)
{
    for (int half = 0; half < 8; half += 4) {
        V x[4] = {V_LOAD(h[half]), V_LOAD(h[half + 1]), V_LOAD(h[half + 2]), V_LOAD(h[half + 3])};
        transpose_4x4(x);
        for (int i = 0; i < 4; i++)
            V_STORE(midstates[i] + half, x[i]);
    }
}

static inline void lanes_digests(uint8_t (*to)[32], wide_hash h)
{
    V x[4] = {swap_bytes(V_LOAD(h[0])), swap_bytes(V_LOAD(h[1])), swap_bytes(V_LOAD(h[2])),
              swap_bytes(V_LOAD(h[3]))};
    transpose_4x4(x);
    for (int i = 0; i < 4; i++)
        V_STORE(to[i], x[i]);
}

#endif
