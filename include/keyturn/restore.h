/* SPDX-License-Identifier: Apache-2.0 */
/* Undoes a rewrap of a key vault on a server, from the backup that it wrote. */
#ifndef KEYTURN_RESTORE_H
#define KEYTURN_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keyturn/log.h"
#include "keyturn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialised fields mean "not given". Strings are borrowed for the call. */
struct kt_restore_options {
    const char *file;                /* the backup */
    const char *key_vault;           /* mongodb://... */
    const char *key_vault_namespace; /* NULL: what the backup says */
    const char *checkpoint;          /* database of leases; NULL: keyturn */
    bool dry_run;                    /* only counts */
    bool forget;                     /* drops an unfinished rewrap's state, which is in the way */
    int guard_fd;                    /* as in struct kt_job_options */
    const struct kt_log *log;
};

struct kt_restore_result {
    uint64_t keys;     /* that the backup names */
    uint64_t restored; /* had the new wrap, and have the old one again (dry run: would have) */
    uint64_t already;  /* have the old one */
    uint64_t changed;  /* have neither: somebody wrapped them since; left as they are, each is logged */
    uint64_t missing;  /* not there any more; each is logged */
};

/* Puts the old keyMaterial, masterKey and updateDate back wherever the vault still holds the new wrap, byte
 * for byte, in short transactions; everything else of a key document stays. May be repeated. KT_OK (look at
 * changed and missing); KT_E_USAGE, KT_E_FORMAT (no backup of a rewrap; what a crash cut off at its end is
 * passed over), KT_E_BUSY, KT_E_OTHER_JOB, KT_E_DENIED, KT_E_NET, KT_E_IO, KT_E_NOMEM. */
KT_API KT_MUST_USE enum kt_status kt_restore_run(const struct kt_restore_options *options,
                                                 struct kt_restore_result *result, struct kt_error *err);

#ifdef __cplusplus
}
#endif
#endif
