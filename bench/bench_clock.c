/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_clock.h"

#include <time.h>

#include "engine/cpu/features.h"

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

#if defined(__x86_64__)
#define TEN(x) x x x x x x x x x x

double bench_ghz(void)
{
    uint64_t best = UINT64_MAX, x = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t from = bench_now_ns();
        for (int j = 0; j < 200; j++)
            __asm__ volatile(TEN(TEN("add $1, %0\n\t")) : "+r"(x));
        uint64_t took = bench_now_ns() - from;
        best = took < best ? took : best;
    }
    return 20000.0 / (double)best;
}

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
        double ghz_ = bench_ghz();                                                                           \
        for (int r_ = 0; r_ < 40; r_++) {                                                                    \
            uint64_t from_ = bench_now_ns();                                                                 \
            for (int i_ = 0; i_ < 1000; i_++)                                                                \
                __asm__ volatile(SIXTEEN(op)::: CLOBBERS);                                                   \
            uint64_t took_ = bench_now_ns() - from_;                                                         \
            best_ = took_ < best_ ? took_ : best_;                                                           \
        }                                                                                                    \
        (result) = 16000.0 / ((double)best_ * ghz_);                                                         \
    } while (0)

struct bench_rates bench_rates(void)
{
    struct bench_rates r = {0};
    if (~kt_cpu_capabilities() & (KT_CPU_AVX512F | KT_CPU_VAES))
        return r;
    PER_CYCLE(r.add, ADD);
    PER_CYCLE(r.rotate, ROTATE);
    PER_CYCLE(r.aes, AES);
    return r;
}
#else
double bench_ghz(void)
{
    return 0;
}

struct bench_rates bench_rates(void)
{
    return (struct bench_rates){0};
}
#endif

double bench_limit(struct bench_rates rates, double hash_blocks, double aes_blocks)
{
    if (rates.add <= 0)
        return 0;
    double all = 2072 / rates.add / 8, rotations = 864 / rates.rotate / 8;
    return hash_blocks * (all > rotations ? all : rotations) + aes_blocks * 14 / rates.aes / 4;
}
