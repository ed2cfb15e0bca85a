/* SPDX-License-Identifier: Apache-2.0 */
/* Time, and core cycles, which the time stamp counter does not count. */
#ifndef KT_BENCH_CLOCK_H
#define KT_BENCH_CLOCK_H

#include <stdint.h>

uint64_t bench_now_ns(void);

/* The calling thread's own time: what else runs on the machine does not count. */
uint64_t bench_cpu_ns(void);

/* Core cycles per nanosecond right now, from a chain of operations that take a cycle each (30 us). 0 where
 * cycles cannot be told: on other architectures, and where a chain of rotations and one of multiplications,
 * which take three cycles each, disagree, so that one of them is not what it is taken for. Threads: one. */
double bench_ghz(void);

#endif
