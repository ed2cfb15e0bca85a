/* SPDX-License-Identifier: Apache-2.0 */
/* What this CPU can do, apart from what anyone prefers to use. */
#ifndef KT_ENGINE_CPU_FEATURES_H
#define KT_ENGINE_CPU_FEATURES_H

#include <stddef.h>
#include <stdint.h>

/*      bit       name as users write it */
#define KT_CPU_MAP(X)                                                                                        \
    X(AES, "aes")                                                                                            \
    X(AVX2, "avx2")                                                                                          \
    X(BMI2, "bmi2")                                                                                          \
    X(AVX512F, "avx512f")                                                                                    \
    X(AVX512BW, "avx512bw")                                                                                  \
    X(AVX512DQ, "avx512dq")                                                                                  \
    X(AVX512VL, "avx512vl")                                                                                  \
    X(VAES, "vaes")

enum kt_cpu_index {
#define X(bit, name) KT_CPU_INDEX_##bit,
    KT_CPU_MAP(X)
#undef X
        KT_CPU_COUNT
};

enum kt_cpu_bit {
#define X(bit, name) KT_CPU_##bit = 1 << KT_CPU_INDEX_##bit,
    KT_CPU_MAP(X)
#undef X
};

/* The features that the CPU has (CPUID) and whose registers the operating system saves (XCR0). 0 on other
 * architectures. Threads: any. */
uint32_t kt_cpu_capabilities(void);

/* The bits of a comma-separated list of names, spaces allowed; NULL or "" is none. Returns NULL, or where the
 * first unknown name begins; *nbytes is its length then. */
const char *kt_cpu_parse(const char *list, uint32_t *bits, size_t *nbytes);

/* The name of feature i, 0 <= i < KT_CPU_COUNT, and "this CPU has no <name>": both live for ever. */
const char *kt_cpu_name(size_t i);
const char *kt_cpu_lacks(size_t i);

#endif
