/* SPDX-License-Identifier: Apache-2.0 */
/* A plot over message sizes, as SVG. */
#ifndef KT_BENCH_PLOT_H
#define KT_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define BENCH_POINTS_MAX 32

struct bench_series {
    const char *name;
    size_t color; /* class s0, s1 .. of the page's style */
    size_t count;
    double x[BENCH_POINTS_MAX], y[BENCH_POINTS_MAX]; /* bytes; values, all > 0 */
};

struct bench_plot {
    const char *title;
    bool nanoseconds; /* a logarithmic axis of times; else ratios, from 0 on */
    const struct bench_series *series;
    size_t count;
};

/* Nothing is written when there are no points. */
void bench_plot_write(FILE *out, const struct bench_plot *plot);

#endif
