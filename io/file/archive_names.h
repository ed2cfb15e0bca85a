/* SPDX-License-Identifier: Apache-2.0 */
/* From an archive's pairs of names to its entries, however many there are. */
#ifndef KT_IO_FILE_ARCHIVE_NAMES_H
#define KT_IO_FILE_ARCHIVE_NAMES_H

#include "io/file/entries.h"

/* Zeroed is empty. */
struct kt_archive_names {
    uint32_t *slots; /* entry + 1; 0 is free */
    size_t nslots, nused;
};

/* The entry of these names; added when there is none. KT_E_LIMIT: too many; KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_archive_entry(struct kt_archive_names *names, struct kt_entry_table *entries,
                                            const char *db, const char *collection, enum kt_codec codec,
                                            uint32_t *entry);

/* The entry that holds a time series' data, if it is known. */
bool kt_archive_find_buckets(const struct kt_archive_names *names, const struct kt_entry_table *entries,
                             const struct kt_file_entry *series, uint32_t *entry);

void kt_archive_names_free(struct kt_archive_names *names);

#endif
