/* SPDX-License-Identifier: Apache-2.0 */
/* What the vector units do in a core cycle, and the limit that follows from it. */
#ifndef KT_BENCH_RATES_H
#define KT_BENCH_RATES_H

/* Vector additions, rotations and AES rounds per cycle at 512 bits; all 0 where the CPU lacks AVX-512 with
 * VAES, where cycles cannot be told, and where a figure is none that a CPU can have. */
struct bench_rates {
    double add, rotate, aes;
};
struct bench_rates bench_rates(void);

/* L1: the cycles that the operations of SHA-512 (2,072 a compression, 864 of them shifts and rotations, eight
 * messages in a vector) and of AES-256 (14 rounds, four blocks in a vector) take when no port ever waits. */
double bench_limit(struct bench_rates rates, double hash_blocks, double aes_blocks);

#endif
