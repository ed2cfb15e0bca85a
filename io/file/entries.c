/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/entries.h"

#include <stdlib.h>

struct kt_file_entry *kt_entries_add(struct kt_entry_table *table)
{
    uint32_t n = kt_entries_count(table);
    if (n == KT_ENTRIES_MAX)
        return NULL;
    struct kt_file_entry **block = &table->blocks[n / KT_ENTRIES_BLOCK];
    if (!*block)
        *block = calloc(KT_ENTRIES_BLOCK, sizeof **block);
    if (!*block)
        return NULL;
    struct kt_file_entry *entry = &(*block)[n % KT_ENTRIES_BLOCK];
    entry->shown = (struct kt_entry){.file = "", .ns = ""};
    return entry;
}

void kt_entries_show(struct kt_entry_table *table)
{
    uint32_t n = kt_entries_count(table);
    struct kt_file_entry *entry = &table->blocks[n / KT_ENTRIES_BLOCK][n % KT_ENTRIES_BLOCK];
    entry->shown.file = entry->file ? entry->file : "";
    entry->shown.ns = entry->ns ? entry->ns : "";
    atomic_store_explicit(&table->n, n + 1, memory_order_release);
}

uint32_t kt_entries_count(const struct kt_entry_table *table)
{
    return atomic_load_explicit(&table->n, memory_order_acquire);
}

struct kt_file_entry *kt_entries_at(const struct kt_entry_table *table, uint32_t i)
{
    return i < kt_entries_count(table) ? &table->blocks[i / KT_ENTRIES_BLOCK][i % KT_ENTRIES_BLOCK] : NULL;
}

void kt_entries_free(struct kt_entry_table *table)
{
    for (uint32_t b = 0; b < KT_ENTRIES_MAX / KT_ENTRIES_BLOCK && table->blocks[b]; b++) {
        for (uint32_t i = 0; i < KT_ENTRIES_BLOCK; i++) {
            struct kt_file_entry *e = &table->blocks[b][i];
            free(e->file);
            free(e->ns);
            free(e->metadata);
            free(e->db);
            free(e->collection);
        }
        free(table->blocks[b]);
    }
}

void kt_entry_describe(struct kt_file_entry *entry, struct kt_metadata *metadata)
{
    free(entry->metadata);
    entry->shown.metadata = entry->metadata = metadata->json;
    metadata->json = NULL;
    entry->shown.is_timeseries |= metadata->is_timeseries;
    entry->no_data |= metadata->is_view;
}

char *kt_ns_join(const char *db, const char *collection)
{
    size_t n = strlen(db), m = strlen(collection);
    char *ns = malloc(n + m + 2);
    if (!ns)
        return NULL;
    if (n == 0 || m == 0) {
        ns[0] = 0;
        return ns;
    }
    memcpy(ns, db, n);
    ns[n] = '.';
    memcpy(ns + n + 1, collection, m + 1);
    return ns;
}
