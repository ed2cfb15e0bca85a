/* SPDX-License-Identifier: Apache-2.0 */
/* The records behind handles, and the way from an id or a name to its handle. Records never move and never go
 * away. Finding needs no lock; adding needs the table's. */
#ifndef KT_KEYS_HANDLES_H
#define KT_KEYS_HANDLES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/span.h"
#include "keys/chunks.h"
#include "keys/key_table.h"

#define KT_NONE UINT32_MAX

/* A name whose key is known: its state is that of its key. */
#define KT_KEY_LINKED (KT_KEY_FAILED + 1)

/* Notes of the look-up that runs now, under the table's lock. */
enum {
    KT_HANDLE_FRESH = 1,     /* asked for in it */
    KT_HANDLE_AMBIGUOUS = 2, /* the key vault has two keys for it */
};

struct kt_handle {
    union {
        uint8_t id[16];
        struct {
            char *name; /* owned, not NUL-terminated */
            uint32_t nbytes, key;
        } by_name;
    };
    uint32_t at; /* READY: its resting DEK; FAILED: its failure; ASKED: its first waiter; else KT_NONE */
    _Atomic uint8_t state; /* enum kt_key_state or KT_KEY_LINKED; written last */
    uint8_t flags;
    bool is_name; /* by_name holds, not id */
};

struct kt_handle_slots;

struct kt_handles {
    struct kt_chunks records;
    _Atomic(struct kt_handle_slots *) slots;
    uint64_t seed[2]; /* ids and names may be made up to collide; what they hash to is not known outside */
};

/* KT_OK, KT_E_NOMEM, KT_E_INTERNAL (no random bytes). */
KT_MUST_USE enum kt_status kt_handles_init(struct kt_handles *handles);
void kt_handles_cleanup(struct kt_handles *handles);

/* KT_NONE: not there yet. An id is 16 bytes. */
uint32_t kt_handles_find(const struct kt_handles *handles, struct kt_span key, bool is_name);

/* Adds what kt_handles_find did not find. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_handles_add(struct kt_handles *handles, struct kt_span key, bool is_name,
                                          uint32_t *handle);

static inline struct kt_handle *kt_handle_at(const struct kt_handles *handles, uint32_t handle)
{
    return kt_chunks_at(&handles->records, handle);
}

#endif
