/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static char *text;
static size_t nbytes;

static const char *print(struct kt_table *table)
{
    free(text);
    FILE *out = open_memstream(&text, &nbytes);
    cr_assert(out != NULL);
    kt_table_print(table, out);
    fclose(out);
    return text;
}

Test(table, figures_stand_right_and_words_left)
{
    struct kt_table table = {0};
    kt_table_row(&table);
    kt_table_cell(&table, "shop.customers");
    kt_table_cell(&table, "%d documents", 100000);
    kt_table_cell(&table, "end");
    kt_table_row(&table);
    kt_table_cell(&table, "a.b");
    kt_table_cell(&table, "%d documents", 7);
    cr_assert(eq(str, (char *)print(&table),
                 "shop.customers   100000 documents   end\n"
                 "a.b                   7 documents\n"));
    cr_assert(eq(str, (char *)print(&table), ""));
}

Test(table, characters_count_and_control_characters_are_shown)
{
    struct kt_table table = {0};
    kt_table_row(&table);
    kt_table_cell(&table, "zo\u00eb");
    kt_table_cell(&table, "x");
    kt_table_row(&table);
    kt_table_cell(&table, "\033[2J");
    kt_table_cell(&table, "y\n");
    cr_assert(eq(str, (char *)print(&table), "zo\u00eb       x\n\\x1b[2J   y\\x0a\n"));
}

Test(table, more_cells_than_room_are_left_out)
{
    struct kt_table table = {0};
    kt_table_cell(&table, "before any row");
    kt_table_row(&table);
    for (int i = 0; i < KT_TABLE_CELLS + 3; i++)
        kt_table_cell(&table, "%c", 'a' + i);
    cr_assert(eq(str, (char *)print(&table), "a   b   c   d   e   f   g   h   i   j   k   l\n"));
}
