/* SPDX-License-Identifier: Apache-2.0 */
/* Beside engine/cpu/avx512.c the only file with 512-bit code, and so by itself: tests/engine/check_program.sh
 * knows it by name. */
#include "bench/bench_rates.h"

#include "bench/bench_clock.h"
#include "engine/cpu/features.h"

double bench_limit(struct bench_rates rates, double hash_blocks, double aes_blocks)
{
    if (rates.add <= 0)
        return 0;
    double all = 2072 / rates.add / 8, rotations = 864 / rates.rotate / 8;
    return hash_blocks * (all > rotations ? all : rotations) + aes_blocks * 14 / rates.aes / 4;
}

#if defined(__x86_64__)
/* Sixteen independent chains of one operation. */
#define SIXTEEN(op)                                                                                          \
    op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define ADD(i) "vpaddq %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define ROTATE(i) "vprorq $14, %%zmm" #i ", %%zmm" #i "\n\t"
#define AES(i) "vaesenc %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define CLOBBERS                                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15"
#define PER_CYCLE(result, op)                                                                                \
    do {                                                                                                     \
        uint64_t best_ = UINT64_MAX;                                                                         \
        for (int r_ = 0; r_ < 60; r_++) {                                                                    \
            uint64_t from_ = bench_now_ns();                                                                 \
            for (int i_ = 0; i_ < 1000; i_++)                                                                \
                __asm__ volatile(SIXTEEN(op)::: CLOBBERS);                                                   \
            uint64_t took_ = bench_now_ns() - from_;                                                         \
            best_ = took_ < best_ ? took_ : best_;                                                           \
        }                                                                                                    \
        double ghz_ = bench_ghz();                                                                           \
        (result) = ghz_ > 0 ? 16000.0 / ((double)best_ * ghz_) : 0;                                          \
    } while (0)

static int possible(double rate)
{
    return rate > 0.4 && rate < 4.4;
}

struct bench_rates bench_rates(void)
{
    struct bench_rates r = {0};
    if (~kt_cpu_capabilities() & (KT_CPU_AVX512F | KT_CPU_VAES))
        return r;
    PER_CYCLE(r.add, ADD);
    PER_CYCLE(r.rotate, ROTATE);
    PER_CYCLE(r.aes, AES);
    if (possible(r.add) && possible(r.rotate) && possible(r.aes))
        return r;
    return (struct bench_rates){0};
}
#else
struct bench_rates bench_rates(void)
{
    return (struct bench_rates){0};
}
#endif
