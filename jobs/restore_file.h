/* SPDX-License-Identifier: Apache-2.0 */
/* The backup of a rewrap, read back (jobs/backup.h says what it holds). */
#ifndef KT_JOBS_RESTORE_FILE_H
#define KT_JOBS_RESTORE_FILE_H

#include "common/span.h"
#include "csfle/key_doc.h"
#include "keyturn/log.h"

/* Views into the file's bytes. */
struct kt_restore_entry {
    const uint8_t *id;
    struct kt_key_doc old;
    struct kt_span material, master_key; /* what replaced it */
};

/* One entry. KT_OK; else why->message says what it lacks. */
KT_MUST_USE enum kt_status kt_restore_entry_read(struct kt_span doc, struct kt_restore_entry *entry,
                                                 struct kt_error *why);

struct kt_restore_file {
    const char *name;
    struct kt_buf bytes;
    struct kt_restore_entry *entries; /* by id; those of one id as they stand in the file */
    size_t entries_count, capacity;
    char ns[400]; /* the key vault; set by the caller, else by the file */
    bool ns_given;
};

/* KT_OK; KT_E_USAGE (no such file; several key vaults, and none was chosen); KT_E_FORMAT (no backup of a
 * rewrap; what a crash cut off at its end is passed over, and said); KT_E_IO; KT_E_NOMEM. The caller frees in
 * every case. */
KT_MUST_USE enum kt_status kt_restore_file_read(struct kt_restore_file *file, const struct kt_log *log,
                                                struct kt_error *err);
void kt_restore_file_free(struct kt_restore_file *file);

#endif
