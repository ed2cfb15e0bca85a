/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void kt_table_row(struct kt_table *table)
{
    void *rows = realloc(table->rows, (table->count + 1) * sizeof *table->rows);
    if (!rows) {
        table->broken = true;
        return;
    }
    table->rows = rows;
    memset(table->rows[table->count++], 0, sizeof *table->rows);
    table->filled = 0;
}

/* Names come from data: control characters would let them steer the terminal. */
static char *clean(const char *text)
{
    char *out = malloc(strlen(text) * 4 + 1);
    size_t at = 0;
    for (const unsigned char *p = (const unsigned char *)text; out && *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            at += (size_t)snprintf(out + at, 5, "\\x%02x", *p);
        else
            out[at++] = (char)*p;
    }
    if (out)
        out[at] = 0;
    return out;
}

void kt_table_cell(struct kt_table *table, const char *fmt, ...)
{
    char text[700];
    va_list args;
    if (table->count == 0 || table->filled == KT_TABLE_CELLS)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char **cell = &table->rows[table->count - 1][table->filled++];
    *cell = clean(text);
    table->broken |= *cell == NULL;
}

/* Characters, not bytes; wide ones are not told apart. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_row(char *const *row, const size_t *widths, FILE *out)
{
    size_t owed = 0; /* spaces, printed only when something follows */
    for (size_t i = 0; i < KT_TABLE_CELLS && row[i]; i++) {
        size_t pad = widths[i] - width(row[i]);
        bool right = row[i][0] >= '0' && row[i][0] <= '9';
        fprintf(out, "%*s%s", (int)(owed + (right ? pad : 0)), "", row[i]);
        owed = 3 + (right ? 0 : pad);
    }
    fputc('\n', out);
}

void kt_table_print(struct kt_table *table, FILE *out)
{
    size_t widths[KT_TABLE_CELLS] = {0};
    for (size_t r = 0; r < table->count; r++) {
        for (size_t i = 0; i < KT_TABLE_CELLS && table->rows[r][i]; i++) {
            size_t n = width(table->rows[r][i]);
            widths[i] = n > widths[i] ? n : widths[i];
        }
    }
    for (size_t r = 0; r < table->count; r++) {
        print_row(table->rows[r], widths, out);
        for (size_t i = 0; i < KT_TABLE_CELLS; i++)
            free(table->rows[r][i]);
    }
    free(table->rows);
    if (table->broken)
        fputs("(memory ran out; lines are missing)\n", out);
    *table = (struct kt_table){0};
}
