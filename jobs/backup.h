/* SPDX-License-Identifier: Apache-2.0 */
/* The backup of a rewrap on a server: an append-only file, one BSON document a key,
 *   {_id: UUID, ns, old: key document, new: {keyMaterial, masterKey}}
 * which is on disk before the new wraps are written. A key may stand in it more than once, when a batch was
 * made again: the last one counts whose `new` the vault holds. */
#ifndef KT_JOBS_BACKUP_H
#define KT_JOBS_BACKUP_H

#include <bson/bson.h>
#include <stdbool.h>

#include "common/span.h"
#include "csfle/key_doc.h"

struct kt_backup {
    char *name; /* absolute */
    int fd;
};

/* Creates it, mode 0600; an empty file of a given name is taken, as one that was never begun. NULL:
 * rewrap-<UTC>.bson in the working folder, or the next free rewrap-<UTC>-<N>.bson. KT_OK, KT_E_EXISTS,
 * KT_E_BUSY (another process has it), KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_backup_create(struct kt_backup *backup, const char *name, struct kt_error *err);

/* Goes on with one of an earlier run; what a crash cut off behind its whole entries is dropped. KT_E_USAGE:
 * it is not there. KT_E_FORMAT: a link, or no backup, which stays as it is. */
KT_MUST_USE enum kt_status kt_backup_append(struct kt_backup *backup, const char *name, struct kt_error *err);
void kt_backup_close(struct kt_backup *backup);

/* One entry, appended to `out`. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_backup_entry(struct kt_buf *out, const char *ns, const struct kt_key_doc *old,
                                           struct kt_span made, struct kt_span master_key);

/* Writes entries and syncs. KT_OK or KT_E_IO. */
KT_MUST_USE enum kt_status kt_backup_put(struct kt_backup *backup, struct kt_span entries,
                                         struct kt_error *err);

#endif
