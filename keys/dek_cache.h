/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's prepared keys: a bounded number of slots in locked memory, filled from the key table's resting
 * keys in engine batches, least recently used first out. Threads: one. */
#ifndef KT_KEYS_DEK_CACHE_H
#define KT_KEYS_DEK_CACHE_H

#include "keys/key_table.h"

struct kt_dek_cache;

/* slots >= 1, each KT_KEY_NBYTES of locked memory. KT_OK, KT_E_NOMEM (the pool is too small). */
KT_MUST_USE enum kt_status kt_dek_cache_new(struct kt_dek_cache **cache, struct kt_key_table *table,
                                            struct kt_engine *engine, size_t slots);
void kt_dek_cache_free(struct kt_dek_cache *cache);
size_t kt_dek_cache_slots(const struct kt_dek_cache *cache);

/* Prepared keys for count <= slots distinct READY handles, in keys[]. They stay until the next call. A handle
 * that is not READY gets NULL. KT_OK, KT_E_USAGE (count > slots), KT_E_DEVICE, KT_E_INTERNAL (a resting key
 * no longer opens: memory was damaged); then keys[] is not to be used. */
KT_MUST_USE enum kt_status kt_dek_cache_get(struct kt_dek_cache *cache, const uint32_t *handles, size_t count,
                                            const struct kt_key **keys);

#endif
