/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct kt_text kt_count_text(uint64_t n)
{
    struct kt_text text;
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text.s[at++] = ',';
        text.s[at++] = digits[i];
    }
    text.s[at] = 0;
    return text;
}

struct kt_text kt_size_text(uint64_t nbytes)
{
    static const char *const units[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
    struct kt_text text;
    if (nbytes < 1000) {
        snprintf(text.s, sizeof text.s, "%" PRIu64 " bytes", nbytes);
        return text;
    }
    double size = (double)nbytes / 1000;
    size_t unit = 0;
    /* 999.95 would print as 1000.0 */
    for (; size >= 999.95 && unit + 1 < sizeof units / sizeof *units; unit++)
        size /= 1000;
    snprintf(text.s, sizeof text.s, "%.1f %s", size, units[unit]);
    return text;
}

struct kt_text kt_duration_text(double seconds)
{
    struct kt_text text;
    if (!(seconds > 0))
        seconds = 0;
    if (seconds > 1e9)
        seconds = 1e9;
    unsigned long whole = (unsigned long)(seconds + 0.5);
    if (seconds < 9.95)
        snprintf(text.s, sizeof text.s, "%.1f s", seconds);
    else if (whole < 120)
        snprintf(text.s, sizeof text.s, "%lu s", whole);
    else if (whole < 3600)
        snprintf(text.s, sizeof text.s, "%lu:%02lu", whole / 60, whole % 60);
    else
        snprintf(text.s, sizeof text.s, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    return text;
}

/* Reads digits from *text on and moves *text behind them. */
static bool read_digits(const char **text, uint64_t max, uint64_t *n)
{
    const char *p = *text;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (p == *text)
        return false;
    *text = p;
    *n = value;
    return true;
}

bool kt_parse_count(const char *text, uint64_t max, uint64_t *n)
{
    uint64_t value;
    if (!read_digits(&text, max, &value) || *text != 0)
        return false;
    *n = value;
    return true;
}

bool kt_parse_age(const char *text, int64_t *ms)
{
    static const struct {
        char name;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}, {'w', 604800000}};
    uint64_t n;
    if (!read_digits(&text, INT64_MAX, &n) || n == 0 || text[0] == 0 || text[1] != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].name != *text)
            continue;
        if (n > (uint64_t)(INT64_MAX / units[i].ms))
            return false;
        *ms = (int64_t)n * units[i].ms;
        return true;
    }
    return false;
}

int kt_edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t na = strlen(a), nb = strlen(b);
    if (na >= MAX || nb >= MAX)
        return 99;
    int row[MAX + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            int step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < step ? change : step;
        }
    }
    return row[nb];
}
