/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of a source. One thread adds, any may look up: entries never move. */
#ifndef KT_IO_FILE_ENTRIES_H
#define KT_IO_FILE_ENTRIES_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "io/file/names.h"
#include "io/store.h"

/* More namespaces than a server can hold; stops an archive made to exhaust memory. */
#define KT_ENTRIES_MAX (1u << 20)
#define KT_ENTRIES_BLOCK 1024u

struct kt_file_entry {
    struct kt_entry shown; /* first: a struct kt_entry of a file source is one of these */
    char *file, *ns;       /* owned, behind shown.file and shown.ns */
    char *metadata;        /* owned, behind shown.metadata */
    char *db, *collection; /* an archive's own two names; NULL elsewhere */
    bool has_docs;         /* else opaque */
    bool no_data;          /* listed by an archive as a view: nothing comes for it */
    struct stat st;        /* a folder's file when it was listed */
};

struct kt_entry_table {
    _Atomic uint32_t n;
    struct kt_file_entry *blocks[KT_ENTRIES_MAX / KT_ENTRIES_BLOCK];
};

/* A zeroed entry at the end; NULL when memory ran out or there are KT_ENTRIES_MAX. It is seen by others after
 * kt_entries_show. */
struct kt_file_entry *kt_entries_add(struct kt_entry_table *table);
void kt_entries_show(struct kt_entry_table *table);

uint32_t kt_entries_count(const struct kt_entry_table *table);
struct kt_file_entry *kt_entries_at(const struct kt_entry_table *table, uint32_t i);
void kt_entries_free(struct kt_entry_table *table);

/* Takes over what metadata says of an entry, but for its name. */
void kt_entry_describe(struct kt_file_entry *entry, struct kt_metadata *metadata);

/* "db.collection", malloc'ed; "" when there is no collection. NULL when memory ran out. */
char *kt_ns_join(const char *db, const char *collection);

#endif
