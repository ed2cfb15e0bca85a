/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that frame an archive's data. */
#ifndef KT_IO_FILE_ARCHIVE_PRELUDE_H
#define KT_IO_FILE_ARCHIVE_PRELUDE_H

#include "io/file/archive_names.h"
#include "io/file/feed.h"

/* What stands before the first segment. */
struct kt_archive_list {
    struct kt_buf bytes; /* byte for byte, from the magic to the terminator */
    struct kt_archive_names names;
};

/* Reads it from the front of the feed, which then allows terminators, and adds an entry for each collection
 * that is listed. KT_E_FORMAT: another version, a broken document, metadata that is no JSON, more than 256
 * MiB; what kt_feed_docs gives. list is zeroed before and gets its due by kt_archive_list_free, also on
 * failure. */
KT_MUST_USE enum kt_status kt_archive_list_read(struct kt_archive_list *list, struct kt_feed *feed,
                                                struct kt_entry_table *entries, struct kt_error *err);
void kt_archive_list_free(struct kt_archive_list *list);

/* Before each segment, and, with eof, behind the last of a namespace. */
struct kt_archive_header {
    const char *db, *collection; /* inside the parsed bytes */
    bool eof, has_crc;
    int64_t crc;
};

/* False for anything that is no such header. */
bool kt_archive_header_parse(struct kt_archive_header *header, struct kt_span bytes);

/* Appends it as mongodump writes it; false when memory ran out. */
bool kt_archive_header_append(struct kt_buf *to, const struct kt_archive_header *header);

#endif
