/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_clock.h"

#include <stdbool.h>
#include <time.h>

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
#define CHAIN 20000.0 /* operations */

/* Additions of constants would not do: some CPUs add them up while they rename registers. */
static double rotations_ns(void)
{
    uint64_t x = 1, from = bench_now_ns();
    for (int j = 0; j < 200; j++)
        __asm__ volatile(TEN(TEN("ror $7, %0\n\t")) : "+r"(x));
    return (double)(bench_now_ns() - from);
}

static double multiplications_ns(void)
{
    uint64_t x = 3, from = bench_now_ns();
    for (int j = 0; j < 200; j++)
        __asm__ volatile(TEN(TEN("imul %0, %0\n\t")) : "+r"(x));
    return (double)(bench_now_ns() - from);
}

static bool chains_agree(void)
{
    double one = 1e9, three = 1e9;
    for (int i = 0; i < 20; i++) {
        double a = rotations_ns(), b = multiplications_ns();
        one = a < one ? a : one;
        three = b < three ? b : three;
    }
    double ghz = CHAIN / one;
    return three > 2.7 * one && three < 3.3 * one && ghz > 0.2 && ghz < 10;
}

double bench_ghz(void)
{
    static enum { UNKNOWN, PLAUSIBLE, WRONG } clock;
    for (int i = 0; i < 5 && clock == UNKNOWN; i++)
        clock = chains_agree() ? PLAUSIBLE : i == 4 ? WRONG : UNKNOWN;
    if (clock == WRONG)
        return 0;
    double best = 1e9;
    for (int i = 0; i < 4; i++) {
        double took = rotations_ns();
        best = took < best ? took : best;
    }
    return CHAIN / best;
}
#else
double bench_ghz(void)
{
    return 0;
}
#endif
