/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cpu/features.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* Intel SDM volume 1, 13.3: XCR0 bits of the SSE and AVX state, and of the three AVX-512 states. */
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Intel SDM volume 2, CPUID leaf 7: which register and bit tells of each feature, and which state it needs.
 */
static uint32_t leaf_7(uint64_t xcr0)
{
    uint32_t a, b, c, d, bits = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (xcr0 & XCR0_AVX) != XCR0_AVX)
        return 0;
    bits |= b & bit_AVX2 ? KT_CPU_AVX2 : 0;
    bits |= b & bit_BMI2 ? KT_CPU_BMI2 : 0;
    bits |= c & bit_VAES ? KT_CPU_VAES : 0;
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
        return bits;
    bits |= b & bit_AVX512F ? KT_CPU_AVX512F : 0;
    bits |= b & bit_AVX512BW ? KT_CPU_AVX512BW : 0;
    bits |= b & bit_AVX512DQ ? KT_CPU_AVX512DQ : 0;
    bits |= b & bit_AVX512VL ? KT_CPU_AVX512VL : 0;
    return bits;
}

uint32_t kt_cpu_capabilities(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    return (c & bit_AES ? KT_CPU_AES : 0) | leaf_7(c & bit_OSXSAVE ? read_xcr0() : 0);
}
#else
uint32_t kt_cpu_capabilities(void)
{
    return 0;
}
#endif

static const char *const names[] = {
#define X(bit, name) name,
    KT_CPU_MAP(X)
#undef X
};

static const char *const lacks[] = {
#define X(bit, name) "this CPU has no " name,
    KT_CPU_MAP(X)
#undef X
};

const char *kt_cpu_name(size_t i)
{
    return names[i];
}

const char *kt_cpu_lacks(size_t i)
{
    return lacks[i];
}

static size_t find_name(const char *name, size_t nbytes)
{
    size_t i = 0;
    while (i < KT_CPU_COUNT && (strlen(names[i]) != nbytes || strncmp(names[i], name, nbytes) != 0))
        i++;
    return i;
}

const char *kt_cpu_parse(const char *list, uint32_t *bits, size_t *nbytes)
{
    *bits = 0;
    *nbytes = 0;
    for (const char *p = list ? list : ""; *p;) {
        size_t skip = strspn(p, ", "), n = strcspn(p + skip, ", ");
        size_t i = find_name(p + skip, n);
        if (n && i == KT_CPU_COUNT) {
            *nbytes = n;
            return p + skip;
        }
        *bits |= n ? 1u << i : 0;
        p += skip + n;
    }
    return NULL;
}
