/* SPDX-License-Identifier: Apache-2.0 */
/* Core cycles, which the time stamp counter does not count, and what the vector units do in one. */
#ifndef KT_BENCH_CLOCK_H
#define KT_BENCH_CLOCK_H

#include <stdint.h>

uint64_t bench_now_ns(void);

/* The calling thread's own time: what else runs on the machine does not count. */
uint64_t bench_cpu_ns(void);

/* Core cycles per nanosecond right now, from a chain of additions of one cycle each (20 us). */
double bench_ghz(void);

/* Vector additions, rotations and AES rounds per cycle at 512 bits; 0 where the CPU lacks AVX-512 with VAES.
 */
struct bench_rates {
    double add, rotate, aes;
};
struct bench_rates bench_rates(void);

/* L1: the cycles that the operations of SHA-512 (2,072 a compression, 864 of them shifts and rotations, eight
 * messages in a vector) and of AES-256 (14 rounds, four blocks in a vector) take when no port ever waits. */
double bench_limit(struct bench_rates rates, double hash_blocks, double aes_blocks);

#endif
