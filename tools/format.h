/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as people read and write them. */
#ifndef KT_TOOLS_FORMAT_H
#define KT_TOOLS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A short text by value, so that it can stand among printf's arguments: kt_count_text(n).s */
struct kt_text {
    char s[40];
};

struct kt_text kt_count_text(uint64_t n);        /* "1,234,567" */
struct kt_text kt_size_text(uint64_t nbytes);    /* "512 bytes", "102.4 MB": powers of 1,000 */
struct kt_text kt_duration_text(double seconds); /* "0.3 s", "17 s", "2:28", "1:02:03" */

/* Decimal digits alone, at most max. False: no number, or too large. */
bool kt_parse_count(const char *text, uint64_t max, uint64_t *n);

/* "90d", "12h", "30m", "45s", "2w": a whole number and its unit, more than 0. */
bool kt_parse_age(const char *text, int64_t *ms);

/* How many single-character changes lead from a to b, cut off at 99. */
int kt_edit_distance(const char *a, const char *b);

#endif
