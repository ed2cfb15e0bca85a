/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/jobs_screen.h"

#include <stdio.h>
#include <time.h>

#include "keyturn/state.h"
#include "tools/format.h"
#include "tools/table.h"

static void print_one(struct kt_table *table, const struct kt_state_entry *entry)
{
    char since[48] = "";
    time_t begun = (time_t)(entry->begun_ms / 1000);
    struct tm utc;
    if (entry->begun_ms && gmtime_r(&begun, &utc))
        strftime(since, sizeof since, "since %Y-%m-%d %H:%M UTC", &utc);
    kt_table_row(table);
    kt_table_cell(table, "%s", entry->ns);
    kt_table_cell(table, "%s", *entry->command ? entry->command : "(not begun)");
    kt_table_cell(table, "%s of %s ranges", kt_count_text(entry->ranges_done).s,
                  kt_count_text(entry->ranges).s);
    kt_table_cell(table, "%s done", kt_count_text(entry->documents).s);
    kt_table_cell(table, "%s failed", kt_count_text(entry->failed).s);
    if (entry->partitions > 1)
        kt_table_cell(table, "%d partitions", entry->partitions);
    kt_table_cell(table, "%s", since);
    if (entry->workers > 1)
        kt_table_cell(table, "%d workers, one is %s", entry->workers, entry->worker);
    else if (entry->workers)
        kt_table_cell(table, "%s", entry->worker);
    else
        kt_table_cell(table, "nobody works on it: the same command goes on");
}

int kt_jobs_print(struct kt_screen *screen, const struct kt_settings *settings)
{
    struct kt_state_list list;
    struct kt_table table = {0};
    struct kt_error err;
    const char *store = settings->from ? settings->from : settings->key_vault;
    enum kt_status status =
        store ? kt_state_list_read(&list, store, settings->checkpoint, &err)
              : kt_fail(&err, KT_E_USAGE, "--jobs needs --from or --key-vault with a server");
    if (status != KT_OK) {
        if (kt_status_category(status) == KT_CAT_USAGE)
            return kt_screen_refused(screen, &err);
        kt_screen_error(screen, 4, err.message, "Nothing was touched.");
        return 4;
    }
    printf("%s.checkpoints on %s      %zu unfinished job%s\n",
           settings->checkpoint ? settings->checkpoint : "keyturn", list.server, list.count,
           list.count == 1 ? "" : "s");
    for (size_t i = 0; i < list.count; i++)
        print_one(&table, &list.entries[i]);
    kt_table_print(&table, stdout);
    kt_state_list_free(&list);
    return kt_screen_flush(0);
}
