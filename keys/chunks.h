/* SPDX-License-Identifier: Apache-2.0 */
/* A growing array whose items never move: each chunk is twice as large as the one before. Untouched pages of
 * the last chunk cost no memory. Threads: one adds; others may read items that they learned of from it. */
#ifndef KT_KEYS_CHUNKS_H
#define KT_KEYS_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "keyturn/status.h"

#define KT_CHUNK_FIRST 256u
#define KT_CHUNKS_MAX 24 /* 256 * (2^24 - 1) items: every uint32_t but a few */

/* Zero-initialised but for item_nbytes. */
struct kt_chunks {
    size_t item_nbytes;
    uint32_t count;
    uint8_t *chunk[KT_CHUNKS_MAX];
};

static inline void *kt_chunks_at(const struct kt_chunks *chunks, uint32_t i)
{
    uint32_t group = i / KT_CHUNK_FIRST + 1;
    int k = 31 - __builtin_clz(group);
    uint32_t first = KT_CHUNK_FIRST * ((1u << k) - 1);
    return chunks->chunk[k] + (size_t)(i - first) * chunks->item_nbytes;
}

/* Adds a zeroed item. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_chunks_add(struct kt_chunks *chunks, uint32_t *i);
void kt_chunks_free(struct kt_chunks *chunks);

#endif
