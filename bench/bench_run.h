/* SPDX-License-Identifier: Apache-2.0 */
/* Times implementations of one load in turn, so that a clock that moves meets all of them. */
#ifndef KT_BENCH_RUN_H
#define KT_BENCH_RUN_H

#include "bench/bench_peer.h"

#define BENCH_TRIALS_MAX 64

struct bench_result {
    bool ran, verified;
    /* Nanoseconds per message: of one thread, that thread's own time; of several, the wall time over all
     * messages. */
    double ns_min, ns_median, ns_max;
    double wall_median;   /* wall time with any number of threads: what these are compared by */
    double cycles_median; /* core cycles per message of one thread; 0: not known */
};

struct bench_plan {
    unsigned trials; /* <= BENCH_TRIALS_MAX; each at least trial_ns long */
    uint64_t trial_ns;
    unsigned threads;
};

/* Fills results[i] for peers[i]; ran is false where a peer cannot do the load. One load for each thread, all
 * alike. Returns false when memory or a thread could not be had. */
bool bench_run(const struct bench_plan *plan, const struct bench_peer *peers, size_t count,
               struct bench_load *const *loads, struct bench_result *results);

#endif
