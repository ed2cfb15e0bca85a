/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of an archive source, shared by its reader and by what saves and restores its position. */
#ifndef KT_IO_FILE_ARCHIVE_SOURCE_H
#define KT_IO_FILE_ARCHIVE_SOURCE_H

#include "io/file/archive_prelude.h"
#include "io/file/source.h"

enum { KT_NS_SEEN = 1, KT_NS_CLOSED = 2 };

struct kt_ns_state {
    uint64_t nbytes, crc; /* of its documents so far */
    uint8_t flags;
};

struct kt_archive_source {
    struct kt_source base;
    struct kt_archive_list list;
    struct kt_ns_state *states; /* one per entry */
    uint32_t nstates, nlisted;
    int64_t current; /* entry whose segment is being read; -1 between segments */
    bool fresh;      /* its header was read, but no piece given yet */
    struct kt_region scratch;
};

/* The entry of a namespace, added when the list did not name it (system.buckets.* of time series are not
 * listed), with room for its state. KT_E_FORMAT: too many; KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_archive_entry_of(struct kt_archive_source *source, const char *db,
                                               const char *collection, uint32_t *entry, struct kt_error *err);

/* struct kt_source_kind's save and seek. */
bool kt_archive_save(const struct kt_source *source, bson_t *position);
KT_MUST_USE enum kt_status kt_archive_seek(struct kt_source *source, bson_iter_t *position,
                                           struct kt_error *err);

#endif
