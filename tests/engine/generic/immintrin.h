/* SPDX-License-Identifier: Apache-2.0 */
/* The 512-bit intrinsics that engine/cpu/avx512*.h use, on the compiler's generic vectors and AES-NI:
 * Valgrind knows no AVX-512, and so checks the same source compiled with this header before the system's. */
#ifndef KT_TESTS_GENERIC_IMMINTRIN_H
#define KT_TESTS_GENERIC_IMMINTRIN_H

#pragma GCC system_header /* it defines anew what compilers have as macros or functions */
#include_next <immintrin.h>

#include <stdint.h>
#include <string.h>

typedef uint64_t g512 __attribute__((vector_size(64)));
typedef long long g512_index __attribute__((vector_size(64)));
typedef uint32_t g512_32 __attribute__((vector_size(64)));
typedef uint8_t g512_8 __attribute__((vector_size(64)));

#define G static inline __attribute__((always_inline))

union g_parts {
    g512 all;
    uint8_t byte[64];
    uint64_t word[8];
    __m128i quarter[4];
    __m256i half[2];
};

G g512 g_load(const void *p)
{
    g512 x;
    memcpy(&x, p, sizeof x);
    return x;
}

G void g_store(void *p, g512 x)
{
    memcpy(p, &x, sizeof x);
}

G g512 g_zero(void)
{
    return (g512){0};
}

G g512 g_set1_64(uint64_t x)
{
    return (g512){x, x, x, x, x, x, x, x};
}

G g512 g_set_64(uint64_t h, uint64_t g, uint64_t f, uint64_t e, uint64_t d, uint64_t c, uint64_t b,
                uint64_t a)
{
    return (g512){a, b, c, d, e, f, g, h};
}

G g512 g_set1_8(uint8_t x)
{
    return g_set1_64(x * (uint64_t)0x0101010101010101);
}

/* mask bytes from p, the others from x */
G g512 g_mask_load_8(g512 x, uint64_t mask, const uint8_t *p)
{
    union g_parts r = {.all = x};
    for (int i = 0; i < 64; i++)
        if (mask >> i & 1)
            r.byte[i] = p[i];
    return r.all;
}

G g512 g_load_64(uint8_t mask, const void *p)
{
    union g_parts r = {.all = {0}};
    for (int i = 0; i < 8; i++)
        if (mask >> i & 1)
            memcpy(&r.word[i], (const uint8_t *)p + 8 * i, 8);
    return r.all;
}

G void g_mask_store_64(void *p, uint8_t mask, g512 x)
{
    union g_parts r = {.all = x};
    for (int i = 0; i < 8; i++)
        if (mask >> i & 1)
            memcpy((uint8_t *)p + 8 * i, &r.word[i], 8);
}

G uint8_t g_greater(g512 x, g512 y)
{
    uint8_t mask = 0;
    for (int i = 0; i < 8; i++)
        mask |= (uint8_t)((x[i] > y[i]) << i);
    return mask;
}

G g512 g_from_mask(uint8_t mask)
{
    g512 x = {0};
    for (int i = 0; i < 8; i++)
        x[i] = mask >> i & 1 ? ~(uint64_t)0 : 0;
    return x;
}

G g512 g_ternary(g512 x, g512 y, g512 z, int table)
{
    return table == 0x96 ? x ^ y ^ z : table == 0xca ? (x & y) | (~x & z) : (x & y) | (x & z) | (y & z);
}

/* Each quarter by itself, as the 128-bit instruction has it. */
#define G_BY_QUARTERS(x, expression)                                                                         \
    do {                                                                                                     \
        for (int i = 0; i < 4; i++)                                                                          \
            (x).quarter[i] = (expression);                                                                   \
        return (x).all;                                                                                      \
    } while (0)

G g512 g_shuffle_8(g512 x, g512 y)
{
    union g_parts a = {.all = x}, b = {.all = y};
    G_BY_QUARTERS(a, _mm_shuffle_epi8(a.quarter[i], b.quarter[i]));
}

G g512 g_aesenc(g512 x, g512 k)
{
    union g_parts a = {.all = x}, b = {.all = k};
    G_BY_QUARTERS(a, _mm_aesenc_si128(a.quarter[i], b.quarter[i]));
}

G g512 g_aesenclast(g512 x, g512 k)
{
    union g_parts a = {.all = x}, b = {.all = k};
    G_BY_QUARTERS(a, _mm_aesenclast_si128(a.quarter[i], b.quarter[i]));
}

G g512 g_aesdec(g512 x, g512 k)
{
    union g_parts a = {.all = x}, b = {.all = k};
    G_BY_QUARTERS(a, _mm_aesdec_si128(a.quarter[i], b.quarter[i]));
}

G g512 g_aesdeclast(g512 x, g512 k)
{
    union g_parts a = {.all = x}, b = {.all = k};
    G_BY_QUARTERS(a, _mm_aesdeclast_si128(a.quarter[i], b.quarter[i]));
}

G g512 g_unpack(g512 x, g512 y, int high)
{
    return high ? (g512){x[1], y[1], x[3], y[3], x[5], y[5], x[7], y[7]}
                : (g512){x[0], y[0], x[2], y[2], x[4], y[4], x[6], y[6]};
}

G g512 g_shuffle_quarters(g512 x, g512 y, int order)
{
    union g_parts a = {.all = x}, b = {.all = y}, r;
    for (int i = 0; i < 4; i++)
        r.quarter[i] = (i < 2 ? a : b).quarter[order >> 2 * i & 3];
    return r.all;
}

G g512 g_permute(g512 x, g512 index, g512 y)
{
    g512 r;
    for (int i = 0; i < 8; i++)
        r[i] = index[i] & 8 ? y[index[i] & 7] : x[index[i] & 7];
    return r;
}

G __m128i g_quarter(g512 x, int i)
{
    union g_parts r = {.all = x};
    return r.quarter[i];
}

G __m256i g_half(g512 x, int i)
{
    union g_parts r = {.all = x};
    return r.half[i];
}

G g512 g_insert(g512 x, __m128i y, int i)
{
    union g_parts r = {.all = x};
    r.quarter[i] = y;
    return r.all;
}

G g512 g_insert_half(g512 x, __m256i y, int i)
{
    union g_parts r = {.all = x};
    r.half[i] = y;
    return r.all;
}

G g512 g_broadcast(g512 x, uint8_t mask, __m128i y)
{
    union g_parts r = {.all = x};
    for (int i = 0; i < 4; i++)
        if (mask >> 2 * i & 3)
            r.quarter[i] = y;
    return r.all;
}

#define __m512i g512
#define _mm512_add_epi64(x, y) ((x) + (y))
#define _mm512_and_si512(x, y) ((x) & (y))
#define _mm512_xor_si512(x, y) ((x) ^ (y))
#define _mm512_ror_epi64(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define _mm512_srli_epi64(x, n) ((x) >> (n))
#define _mm512_ternarylogic_epi64(x, y, z, table) g_ternary(x, y, z, table)
#define _mm512_load_si512(p) g_load(p)
#define _mm512_loadu_si512(p) g_load(p)
#define _mm512_store_si512(p, x) g_store(p, x)
#define _mm512_storeu_si512(p, x) g_store(p, x)
#define _mm512_setzero_si512() g_zero()
#define _mm512_set1_epi64(x) g_set1_64((uint64_t)(x))
#define _mm512_set1_epi32(x) g_set1_64((uint32_t)(x) * (uint64_t)0x100000001)
#define _mm512_set1_epi8(x) g_set1_8((uint8_t)(x))
#define _mm512_set_epi64(h, g, f, e, d, c, b, a) g_set_64(h, g, f, e, d, c, b, a)
#define _mm512_mask_loadu_epi8(x, mask, p) g_mask_load_8(x, mask, p)
#define _mm512_maskz_loadu_epi8(mask, p) g_mask_load_8(g_zero(), mask, p)
#define _mm512_maskz_loadu_epi64(mask, p) g_load_64(mask, p)
#define _mm512_mask_storeu_epi64(p, mask, x) g_mask_store_64(p, mask, x)
#define _mm512_cmpgt_epu64_mask(x, y) g_greater(x, y)
#define _mm512_movm_epi64(mask) g_from_mask(mask)
#define _mm512_shuffle_epi8(x, y) g_shuffle_8(x, y)
#define _mm512_aesenc_epi128(x, k) g_aesenc(x, k)
#define _mm512_aesenclast_epi128(x, k) g_aesenclast(x, k)
#define _mm512_aesdec_epi128(x, k) g_aesdec(x, k)
#define _mm512_aesdeclast_epi128(x, k) g_aesdeclast(x, k)
#define _mm512_bslli_epi128(x, n)                                                                            \
    __extension__({                                                                                          \
        union g_parts shifted_ = {.all = (x)};                                                               \
        for (int i_ = 0; i_ < 4; i_++)                                                                       \
            shifted_.quarter[i_] = _mm_slli_si128(shifted_.quarter[i_], n);                                  \
        shifted_.all;                                                                                        \
    })
#define _mm512_unpacklo_epi64(x, y) g_unpack(x, y, 0)
#define _mm512_unpackhi_epi64(x, y) g_unpack(x, y, 1)
#define _mm512_shuffle_i64x2(x, y, order) g_shuffle_quarters(x, y, order)
#define _mm512_permutex2var_epi64(x, index, y) g_permute(x, index, y)
#define _mm512_castsi512_si128(x) g_quarter(x, 0)
#define _mm512_castsi512_si256(x) g_half(x, 0)
#define _mm512_zextsi128_si512(x) g_insert(g_zero(), x, 0)
#define _mm512_castsi128_si512(x) g_insert(g_zero(), x, 0)
#define _mm512_extracti64x2_epi64(x, i) g_quarter(x, i)
#define _mm512_extracti64x4_epi64(x, i) g_half(x, i)
#define _mm512_castsi256_si512(x) g_insert_half(g_zero(), x, 0)
#define _mm512_inserti64x4(x, y, i) g_insert_half(x, y, i)
#define _mm512_inserti64x2(x, y, i) g_insert(x, y, i)
#define _mm512_broadcast_i32x4(x) g_broadcast(g_zero(), 0xff, x)
#define _mm512_broadcast_i64x2(x) g_broadcast(g_zero(), 0xff, x)
#define _mm512_mask_broadcast_i64x2(x, mask, y) g_broadcast(x, mask, y)

#endif
