/* SPDX-License-Identifier: Apache-2.0 */
/* Moving bytes between arenas and rows; the contracts are in wide.h. Masked loads read the masked bytes
 * alone. */
#ifndef KT_ENGINE_CPU_AVX512_BYTES_H
#define KT_ENGINE_CPU_AVX512_BYTES_H

#include "engine/cpu/avx512_vector.h"

static inline __mmask64 first_bytes(size_t n)
{
    return _bzhi_u64(~(uint64_t)0, (unsigned)n);
}

static inline void copy_64(uint8_t *to, const uint8_t *from)
{
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
}

#define END_MARK_NBYTES 64

static inline void end_mark(uint8_t *to, uint64_t low, uint64_t high)
{
    _mm512_storeu_si512(to, _mm512_zextsi128_si512(_mm_set_epi64x((long long)high, (long long)low)));
}

static inline void bytes_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    for (; n > 64; to += 64, from += 64, n -= 64)
        copy_64(to, from);
    _mm512_storeu_si512(to, _mm512_maskz_loadu_epi8(first_bytes(n), from));
}

static inline void bytes_copy_blocks(uint8_t *to, const uint8_t *from, size_t n)
{
    for (; n > 64; to += 64, from += 64, n -= 64)
        copy_64(to, from);
    __mmask8 words = (__mmask8)_bzhi_u32(0xff, (unsigned)n / 8);
    _mm512_mask_storeu_epi64(to, words, _mm512_maskz_loadu_epi64(words, from));
}

static inline void bytes_pad(uint8_t *to, const uint8_t *from, size_t n)
{
    for (; n >= 64; to += 64, from += 64, n -= 64)
        copy_64(to, from);
    __m512i padding = _mm512_set1_epi8((char)(16 - n % 16));
    _mm512_storeu_si512(to, _mm512_mask_loadu_epi8(padding, first_bytes(n), from));
}

static inline void bytes_zero(uint8_t *to, const uint8_t *end)
{
    for (; to < end; to += 64) {
        _mm512_storeu_si512(to, _mm512_setzero_si512());
        __asm__("" : "+r"(to)); /* or the loop becomes a call of memset, for one or two stores */
    }
}

#endif
