/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench prints: a table for people, JSON for programs. */
#ifndef KT_BENCH_REPORT_H
#define KT_BENCH_REPORT_H

#include <stdio.h>

#include "bench/bench_clock.h"
#include "bench/bench_run.h"

struct bench_row {
    enum bench_op op;
    int size;
    size_t count, keys;
    unsigned threads;
    double mean_nbytes, limit_cycles; /* of one message; limit 0: not known */
    struct bench_result results[BENCH_PEERS_MAX];
};

/* CPU model and flags of interest, rates, backends and why some are not usable, peers' versions. */
void bench_print_machine(FILE *out, const struct bench_peer *peers, size_t count, struct bench_rates rates);
void bench_print_row(FILE *out, const struct bench_row *row, const struct bench_peer *peers, size_t count);
void bench_print_fit(FILE *out, const struct bench_row *rows, size_t rows_count,
                     const struct bench_peer *peers, size_t count);
/* Returns false when writing failed. */
bool bench_write_json(FILE *out, const struct bench_row *rows, size_t rows_count,
                      const struct bench_peer *peers, size_t count, struct bench_rates rates, uint64_t seed);

#endif
