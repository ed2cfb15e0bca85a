/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-512 compression (FIPS 180-4, section 6.4) of WIDE_LANES independent messages at a time. The instruction
 * set's header has defined the vector type V and its operations; the lanes are one vector, or two, which hide
 * the latency of one another's rounds.
 *
 * Five passes of 16 rounds in one function that is never inlined: unrolled whole, or inlined for inner and
 * outer hashes, the code outgrows the micro-op cache and a third of the speed is lost. */
#ifndef KT_ENGINE_CPU_WIDE_SHA512_H
#define KT_ENGINE_CPU_WIDE_SHA512_H

#include "engine/cpu/wide.h"

#define VECTORS (WIDE_LANES * 8 / sizeof(V))
#define V_LANES (sizeof(V) / 8)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define ONE_COPY __attribute__((noinline))
#else
#define ONE_COPY __attribute__((noinline, noclone))
#endif

ALWAYS_INLINE V big_sigma_0(V x)
{
    return V_XOR3(V_ROR(x, 28), V_ROR(x, 34), V_ROR(x, 39));
}

ALWAYS_INLINE V big_sigma_1(V x)
{
    return V_XOR3(V_ROR(x, 14), V_ROR(x, 18), V_ROR(x, 41));
}

ALWAYS_INLINE V small_sigma_0(V x)
{
    return V_XOR3(V_ROR(x, 1), V_ROR_8(x), V_SHR(x, 7));
}

ALWAYS_INLINE V small_sigma_1(V x)
{
    return V_XOR3(V_ROR(x, 19), V_ROR(x, 61), V_SHR(x, 6));
}

/* Word i of the ring is renewed before its round: w[t] = w[t-16] + s0(w[t-15]) + w[t-7] + s1(w[t-2]). */
ALWAYS_INLINE V next_word(uint64_t w[16][WIDE_LANES], int i, size_t lane)
{
    V x = V_ADD(V_ADD(V_LOAD(&w[i][lane]), small_sigma_0(V_LOAD(&w[(i + 1) & 15][lane]))),
                V_ADD(V_LOAD(&w[(i + 9) & 15][lane]), small_sigma_1(V_LOAD(&w[(i + 14) & 15][lane]))));
    V_STORE(&w[i][lane], x);
    return x;
}

/* State variable a of round i stands at s[-i mod 8], b behind it, and so on: nothing moves between rounds. */
ALWAYS_INLINE void one_round(V *s, int i, V word)
{
    V a = s[-i & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7], *d = &s[(3 - i) & 7];
    V e = s[(4 - i) & 7], f = s[(5 - i) & 7], g = s[(6 - i) & 7], *h = &s[(7 - i) & 7];
    V t1 = V_ADD(V_ADD(V_ADD(*h, word), V_CH(e, f, g)), big_sigma_1(e));
    *d = V_ADD(*d, t1);
    *h = V_ADD(t1, V_ADD(big_sigma_0(a), V_MAJ(a, b, c)));
}

/* The first sixteen rounds compute no words. Where they come from rows, loading them takes that time. */
ALWAYS_INLINE void first_rounds(V state[VECTORS][8], uint64_t w[16][WIDE_LANES], const uint8_t *const *rows,
                                size_t at)
{
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        if (rows && i % 4 == 0)
            lanes_load(w + i, rows, at + 8 * (size_t)i);
#pragma GCC unroll 2
        for (size_t v = 0; v < VECTORS; v++)
            one_round(state[v], i, V_ADD(V_LOAD(&w[i][v * V_LANES]), V_SET1(kt_sha512_k[i])));
    }
}

ALWAYS_INLINE void next_rounds(V state[VECTORS][8], uint64_t w[16][WIDE_LANES], const uint64_t *k)
{
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        V constant = V_SET1(k[i]);
#pragma GCC unroll 2
        for (size_t v = 0; v < VECTORS; v++)
            one_round(state[v], i, V_ADD(next_word(w, i, v * V_LANES), constant));
    }
}

/* The first half of sha->w is a digest: makes of it the one block that it is behind a block of key. */
static inline void lanes_digest_block(struct wide_sha *sha)
{
#pragma GCC unroll 2
    for (size_t v = 0; v < WIDE_LANES; v += V_LANES) {
        V_STORE(&sha->w[8][v], V_SET1((uint64_t)1 << 63));
#pragma GCC unroll 6
        for (int i = 9; i < 15; i++)
            V_STORE(&sha->w[i][v], V_SET1(0));
        V_STORE(&sha->w[15][v], V_SET1(8 * (KT_SHA512_BLOCK + KT_SHA512_DIGEST)));
        V_STORE(&sha->active[v], V_SET1(1));
    }
}

/* to = from, and in each lane that has more than `block` blocks to hash, that block of its row on top; rows
 * NULL: the words of sha->w. to may be from, or the first half of sha->w. Neither inlined nor cloned: see
 * above. */
static ONE_COPY void lanes_compress(struct wide_sha *sha, wide_hash to, wide_hash from,
                                    const uint8_t *const *rows, uint64_t block)
{
    V state[VECTORS][8];
#pragma GCC unroll 2
    for (size_t v = 0; v < VECTORS; v++)
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            state[v][i] = V_LOAD(&from[i][v * V_LANES]);
    first_rounds(state, sha->w, rows, KT_SHA512_BLOCK * block);
    for (int t = 16; t < 80; t += 16)
        next_rounds(state, sha->w, kt_sha512_k + t);
#pragma GCC unroll 2
    for (size_t v = 0; v < VECTORS; v++) {
        V active = V_GREATER(V_LOAD(&sha->active[v * V_LANES]), V_SET1(block));
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            V_STORE(&to[i][v * V_LANES], V_ADD(V_LOAD(&from[i][v * V_LANES]), V_AND(state[v][i], active)));
    }
}

#endif
