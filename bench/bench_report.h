/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench prints: a table for people, JSON for programs. */
#ifndef KT_BENCH_REPORT_H
#define KT_BENCH_REPORT_H

#include <stdio.h>

#include "bench/bench_machine.h"
#include "bench/bench_run.h"

struct bench_row {
    enum bench_op op;
    int size;
    size_t count, keys;
    unsigned threads;
    double mean_nbytes, limit_cycles; /* of one message; limit 0: not known */
    struct bench_result results[BENCH_PEERS_MAX];
};

struct bench_rows {
    const struct bench_machine *machine;
    const struct bench_peer *peers;
    size_t peers_count;
    const struct bench_row *rows;
    size_t rows_count;
    uint64_t seed;
};

/* "16", "8-100", "real mix", "DEK" */
struct bench_text {
    char s[16];
};
struct bench_text bench_size_text(const struct bench_row *row);

/* The row with one thread that this one, with several, is compared with; NULL when there is none. */
const struct bench_row *bench_single(const struct bench_rows *rows, const struct bench_row *row);

/* The last row. */
void bench_print_row(FILE *out, const struct bench_rows *rows);
/* What is to be seen in several rows together. */
void bench_print_summary(FILE *out, const struct bench_rows *rows);

/* Return false when writing failed. */
bool bench_write_json(FILE *out, const struct bench_rows *rows);
bool bench_write_html(FILE *out, const struct bench_rows *rows);

#endif
