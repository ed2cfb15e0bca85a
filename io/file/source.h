/* SPDX-License-Identifier: Apache-2.0 */
/* What the three kinds of file source share. */
#ifndef KT_IO_FILE_SOURCE_H
#define KT_IO_FILE_SOURCE_H

#include "io/file/entries.h"
#include "io/file/feed.h"
#include "io/file/names.h"

struct kt_source;

struct kt_source_kind {
    enum kt_container container;
    enum kt_status (*next)(struct kt_source *, size_t want, struct kt_region *into, struct kt_piece *,
                           struct kt_error *);
    /* Fields of the position, and of it alone: what identifies the input is added by the caller. */
    bool (*save)(const struct kt_source *, bson_t *position);
    enum kt_status (*seek)(struct kt_source *, bson_iter_t *position, struct kt_error *);
    void (*close)(struct kt_source *);
};

struct kt_source {
    const struct kt_source_kind *kind;
    char *name; /* as the user gave it */
    struct kt_entry_table entries;
    _Atomic uint64_t done;
    atomic_bool stop;
    uint64_t total;
    bool is_pipe;         /* known again by the CRC of what was read */
    uint64_t identity;    /* otherwise: CRC of names, sizes, times and inode numbers */
    struct kt_region raw; /* lent to the folder's files */
    struct kt_feed feed;  /* of the stream, or of the folder's current file */
};

/* NULL when memory ran out. size is that of the kind's struct, which begins with struct kt_source. */
void *kt_source_new(size_t size, const struct kt_source_kind *kind, const char *name);

/* Each makes a source of its kind around a stream or a folder, which it takes over, also on failure. */
KT_MUST_USE enum kt_status kt_lone_source(struct kt_source **, struct kt_feed *, const char *name,
                                          const struct kt_source_options *, struct kt_error *);
KT_MUST_USE enum kt_status kt_archive_source(struct kt_source **, struct kt_feed *, const char *name,
                                             struct kt_error *);
KT_MUST_USE enum kt_status kt_directory_source(struct kt_source **, int dir, const char *name,
                                               struct kt_error *);

/* Adds a file to what identifies the input. The device number is left out: it may differ after a reboot. */
uint64_t kt_identity_add(uint64_t identity, const char *name, const struct stat *st);

/* Reads and parses the metadata beside a collection's file: stem + ".metadata.json", or with .gz. *found is
 * false when there is none. dir is a folder's descriptor; lent as for kt_input_open. */
KT_MUST_USE enum kt_status kt_metadata_beside(struct kt_metadata *metadata, bool *found, int dir,
                                              const char *file, const char *label, struct kt_region *lent,
                                              struct kt_error *err);

/* Fields of a saved position. */
int64_t kt_position_int(bson_iter_t *position, const char *key, int64_t absent);

/* An archive's first bytes up to and with the terminator behind its list of collections. */
struct kt_span kt_archive_prelude(const struct kt_source *source);

/* A directory source's folders, sorted, so that a parent comes before its children; NULL past the end. */
const char *kt_directory_folder(const struct kt_source *source, size_t i);

#endif
