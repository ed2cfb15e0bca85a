/* SPDX-License-Identifier: Apache-2.0 */
/* The common case by itself: a group whose messages have AADs of one length and as many blocks, and fit a
 * chunk. What wide_rows.h works out for each row is then one constant for all. Lane 0 holds it; the others
 * hold pointers and `staged`. */
#ifndef KT_ENGINE_CPU_WIDE_ALIKE_H
#define KT_ENGINE_CPU_WIDE_ALIKE_H

#include "engine/cpu/wide_rows.h"

/* The row of one message of a group that is alike. Returns its key. */
PHASE const struct kt_key *stage_alike(const struct group *g, unsigned i, const struct kt_batch *b,
                                       struct kt_msg *m, unsigned prefix, unsigned staged, enum job job)
{
    struct lane *l = &g->s->lanes[i];
    uint8_t *data = row_data(g, i), *out = b->out + m->out;
    const uint8_t *in = b->in + m->in;
    l->key = b->keys[m->key];
    l->msg = m;
    l->staged = (uint16_t)staged;
    if (job == JOB_OPEN) {
        bytes_copy(data - prefix, in + 16 - prefix, prefix + staged);
        l->out = out;
        return l->key;
    }
    if (prefix <= 64)
        copy_64(data - prefix, out + 16 - prefix);
    else
        bytes_copy(data - prefix, out + 16 - prefix, prefix);
    bytes_pad(data, in, m->in_nbytes);
    l->out = out + 16;
    return l->key;
}

/* What finish() does, for rows that are alike. */
PHASE void finish_alike(const struct group *g, enum job job)
{
    const struct lane *first = &g->s->lanes[0];
    const unsigned staged = first->staged;
    const size_t row_end = KT_SHA512_BLOCK * (size_t)first->blocks - first->prefix;
    const uint64_t al = aad_bits(first), length = big_endian(8 * first->mac_nbytes);
    for (unsigned i = 0; i < g->count; i++) {
        struct lane *l = &g->s->lanes[i];
        uint8_t *data = row_data(g, i);
        if (job == JOB_SEAL) {
            bytes_copy_blocks(l->out, data, staged);
            l->out += staged;
        }
        end_mark(data + staged, al, 0x80);
        bytes_zero(data + staged + END_MARK_NBYTES, data + row_end);
        store_u64(data + row_end - 8, length);
    }
}

#endif
