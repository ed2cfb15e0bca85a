/* SPDX-License-Identifier: Apache-2.0 */
/* DEKs at rest: each sealed like a wrapped DEK (random IV, no AAD, 160 bytes) under a key that is drawn anew
 * for each table and lives in locked memory only. So locked memory does not grow with the number of DEKs. */
#ifndef KT_KEYS_RESTING_H
#define KT_KEYS_RESTING_H

#include "common/secmem.h"
#include "keys/chunks.h"
#include "keyturn/engine.h"

/* DEKs that one call takes at most, and the room that one needs while it is opened (the engine may store
 * whole blocks). */
#define KT_RESTING_RUN 64
#define KT_RESTING_ROOM (KT_WRAPPED_NBYTES - 48)

struct kt_resting {
    struct kt_secmem *secmem;
    struct kt_key *key; /* locked */
    struct kt_chunks sealed;
};

/* KT_OK, KT_E_NOMEM (no locked memory), KT_E_INTERNAL (no random bytes). */
KT_MUST_USE enum kt_status kt_resting_init(struct kt_resting *resting, struct kt_secmem *secmem,
                                           struct kt_engine *engine);
void kt_resting_cleanup(struct kt_resting *resting);

/* deks: count <= KT_RESTING_RUN DEKs back to back. out: KT_WRAPPED_NBYTES each. Any thread. KT_OK,
 * KT_E_DEVICE, KT_E_INTERNAL. */
KT_MUST_USE enum kt_status kt_resting_seal(const struct kt_resting *resting, struct kt_engine *engine,
                                           const uint8_t *deks, size_t count, uint8_t *out);

/* Stores one sealed DEK; the caller holds the table's lock. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_resting_put(struct kt_resting *resting, const uint8_t *sealed, uint32_t *at);

/* Opens count <= KT_RESTING_RUN DEKs into locked memory: room for count * KT_RESTING_ROOM, of which the DEKs
 * then fill the front, back to back. Any thread. KT_OK, KT_E_DEVICE, or KT_E_INTERNAL: one does not open, so
 * memory was damaged. */
KT_MUST_USE enum kt_status kt_resting_open(const struct kt_resting *resting, struct kt_engine *engine,
                                           const uint32_t *at, size_t count, uint8_t *deks);

#endif
