/* SPDX-License-Identifier: Apache-2.0 */
/* Lines whose cells stand below each other. */
#ifndef KT_TOOLS_TABLE_H
#define KT_TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "keyturn/status.h"

#define KT_TABLE_CELLS 12

struct kt_table {
    char *(*rows)[KT_TABLE_CELLS];
    size_t count, filled;
    bool broken; /* memory ran out; rows are missing */
};

void kt_table_row(struct kt_table *table);

/* The next cell of the current row. Cells that begin with a digit stand to the right. */
void kt_table_cell(struct kt_table *table, const char *fmt, ...) KT_PRINTF(2, 3);

/* Prints and empties it. Columns are three spaces apart; lines end without spaces. Control characters are
 * shown as \xNN. */
void kt_table_print(struct kt_table *table, FILE *out);

#endif
