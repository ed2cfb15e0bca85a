/* SPDX-License-Identifier: Apache-2.0 */
/* Moving bytes between arenas and rows; the contracts are in wide.h. There are no masked loads of bytes: ends
 * are moved by a second, overlapping piece. */
#ifndef KT_ENGINE_CPU_AVX2_BYTES_H
#define KT_ENGINE_CPU_AVX2_BYTES_H

#include "engine/cpu/avx2_vector.h"

static inline void copy_32(uint8_t *to, const uint8_t *from)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_loadu_si256((const __m256i *)(const void *)from));
}

static inline void copy_64(uint8_t *to, const uint8_t *from)
{
    copy_32(to, from);
    copy_32(to + 32, from + 32);
}

#define END_MARK_NBYTES 32

static inline void end_mark(uint8_t *to, uint64_t low, uint64_t high)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_set_epi64x(0, 0, (long long)high, (long long)low));
}

static inline void copy_16(uint8_t *to, const uint8_t *from)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
}

static inline void copy_below_16(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    }
}

static inline void bytes_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n < 16) {
        copy_below_16(to, from, n);
        return;
    }
    size_t at = 0;
    for (; at + 32 <= n; at += 32)
        copy_32(to + at, from + at);
    if (at + 16 <= n)
        copy_16(to + at, from + at);
    copy_16(to + n - 16, from + n - 16);
}

static inline void bytes_copy_blocks(uint8_t *to, const uint8_t *from, size_t n)
{
    size_t at = 0;
    for (; at + 32 <= n; at += 32)
        copy_32(to + at, from + at);
    if (at < n)
        copy_16(to + at, from + at);
}

static inline void bytes_pad(uint8_t *to, const uint8_t *from, size_t n)
{
    bytes_copy(to, from, n);
    _mm_storeu_si128((__m128i *)(void *)(to + n), _mm_set1_epi8((char)(16 - n % 16)));
}

static inline void bytes_zero(uint8_t *to, const uint8_t *end)
{
    for (; to < end; to += 32) {
        _mm256_storeu_si256((__m256i *)(void *)to, _mm256_setzero_si256());
        __asm__("" : "+r"(to)); /* or the loop becomes a call of memset, for one or two stores */
    }
}

#endif
