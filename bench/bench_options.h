/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `keyturn bench engine`. */
#ifndef KT_BENCH_OPTIONS_H
#define KT_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct bench_options {
    const char *json, *html; /* files to write, or NULL; "-": stdout, which the table then leaves */
    const char *only_op, *only_size, *only_peer;
    const char *backend; /* NULL: all of them */
    uint64_t seed;
    unsigned threads;
    bool list, quick;
};

/* Returns true when there is something to do. Else *exit says how the command ends: help was asked for and
 * printed (0), or the line is wrong and stderr says why (2). backend: what counts without --backend. */
bool bench_options_parse(int argc, char **argv, const char *backend, struct bench_options *options,
                         int *exit);

#endif
