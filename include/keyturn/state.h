/* SPDX-License-Identifier: Apache-2.0 */
/* Unfinished jobs on a server: what their checkpoints say. */
#ifndef KEYTURN_STATE_H
#define KEYTURN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keyturn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One namespace's job. */
struct kt_state_entry {
    char ns[400], command[16]; /* command "": only a lease is there */
    int partitions;
    uint64_t ranges, ranges_done;
    uint64_t documents, values, failed; /* so far; of a rewrap keys read, rewrapped, failed */
    int64_t begun_ms;                   /* UTC; 0: not known */
    int workers;                        /* leases that have not expired */
    char worker[300];                   /* one of them: "process 4711 on db3" */
};

struct kt_state_list {
    char server[128];
    struct kt_state_entry *entries;
    size_t count;
};

/* uri: the cluster that is written. state_db NULL: keyturn. KT_OK (also when there are none), KT_E_USAGE,
 * KT_E_DENIED, KT_E_NET, KT_E_NOMEM. The list is freed in every case. */
KT_API KT_MUST_USE enum kt_status kt_state_list_read(struct kt_state_list *list, const char *uri,
                                                     const char *state_db, struct kt_error *err);
KT_API void kt_state_list_free(struct kt_state_list *list);

#ifdef __cplusplus
}
#endif
#endif
