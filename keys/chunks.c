/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/chunks.h"

#include <stdlib.h>

#define ITEMS_MAX (KT_CHUNK_FIRST * ((1u << (KT_CHUNKS_MAX - 1)) - 1) * 2u)

enum kt_status kt_chunks_add(struct kt_chunks *chunks, uint32_t *i)
{
    uint32_t at = chunks->count;
    if (at >= ITEMS_MAX)
        return KT_E_NOMEM;
    int k = 31 - __builtin_clz(at / KT_CHUNK_FIRST + 1);
    if (!chunks->chunk[k]) {
        chunks->chunk[k] = calloc((size_t)KT_CHUNK_FIRST << k, chunks->item_nbytes);
        if (!chunks->chunk[k])
            return KT_E_NOMEM;
    }
    chunks->count++;
    *i = at;
    return KT_OK;
}

void kt_chunks_free(struct kt_chunks *chunks)
{
    for (size_t k = 0; k < KT_CHUNKS_MAX; k++)
        free(chunks->chunk[k]);
    *chunks = (struct kt_chunks){.item_nbytes = chunks->item_nbytes};
}
