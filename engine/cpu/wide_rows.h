/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: messages come in, ciphertext goes out. See wide.h for the layout. */
#ifndef KT_ENGINE_CPU_WIDE_ROWS_H
#define KT_ENGINE_CPU_WIDE_ROWS_H

#include "engine/cpu/wide.h"

/* A group under way: rows and lanes [0, count), their data at data_at in each row. */
struct group {
    struct wide_state *s;
    unsigned count, data_at;
    bool one_key;
    bool ended; /* no message goes on behind what is staged now */
    bool alike; /* all rows have what the first lane tells: see wide_alike.h */
};

static inline uint8_t *row_data(const struct group *g, unsigned i)
{
    return g->s->rows[i] + g->data_at;
}

static inline uint64_t aad_bits(const struct lane *l)
{
    return big_endian(8 * (uint64_t)l->msg->aad_nbytes);
}

/* What the hash reads before the data: AAD | IV as they stand in the arena, or AAD | AL. 64 bytes from the
 * AAD on are always the message's own: the shortest one sealed has as many. */
PHASE void stage_prefix(uint8_t *data, const struct lane *l, const uint8_t *aad, enum job job)
{
    uint8_t *start = data - l->prefix;
    if (l->prefix <= 64)
        copy_64(start, aad);
    else
        bytes_copy(start, aad, l->prefix);
    if (job == JOB_IV)
        store_u64(data - 8, aad_bits(l));
}

/* How much the last chunk of a message, l->left < CHUNK bytes, makes of a row: sealing, with its padding;
 * then AL or nothing, the bit 1, zeros, the length in 16 bytes (FIPS 180-4, section 5.1.2). */
PHASE void size_lane(struct lane *l, enum job job)
{
    unsigned staged = job == JOB_SEAL ? (l->left & ~15u) + 16 : l->left;
    unsigned nbytes = l->prefix + staged + (job == JOB_IV ? 0 : 8) + 17;
    l->staged = (uint16_t)staged;
    l->blocks = (uint16_t)((nbytes + KT_SHA512_BLOCK - 1) / KT_SHA512_BLOCK);
    l->ended = true;
}

/* Puts the next CHUNK bytes, or what is left and when sealing its padding, into the row. */
PHASE void stage_data(uint8_t *data, struct lane *l, enum job job)
{
    if (l->left >= CHUNK) {
        bytes_copy(data, l->data, CHUNK);
        l->data += CHUNK;
        l->left -= CHUNK;
        l->staged = CHUNK;
        l->blocks = CHUNK / KT_SHA512_BLOCK;
        return;
    }
    if (job == JOB_SEAL)
        bytes_pad(data, l->data, l->left);
    else if (l->left)
        bytes_copy(data, l->data, l->left);
    size_lane(l, job);
}

/* The next chunk of each message, behind the bytes of the chunk before that the hash has not read: data
 * starts a prefix's length behind a block boundary, and so does every chunk. */
PHASE void stage_more(struct group *g, enum job job)
{
    g->ended = true;
    for (unsigned i = 0; i < g->count; i++) {
        struct lane *l = &g->s->lanes[i];
        uint8_t *data = row_data(g, i);
        if (l->ended) {
            l->staged = l->blocks = 0;
            continue;
        }
        bytes_copy(data - l->prefix, data + CHUNK - l->prefix, l->prefix);
        stage_data(data, l, job);
        g->ended &= l->ended;
    }
}

/* Encrypts what is staged, as many blocks as the longest row has. */
PHASE void encrypt(const struct group *g)
{
    struct wide_state *s = g->s;
    unsigned longest = s->lanes[0].staged;
    for (unsigned i = 1; i < g->count && !g->alike; i++)
        longest = s->lanes[i].staged > longest ? s->lanes[i].staged : longest;
    cbc_encrypt((const uint8_t(*)[GROUP_MAX][16])s->round_keys, row_data(g, 0), g->count, longest / 16,
                g->one_key);
}

/* Ciphertext to its place, and behind the message's end what closes the hash. */
PHASE void finish(const struct group *g, enum job job)
{
    for (unsigned i = 0; i < g->count; i++) {
        struct lane *l = &g->s->lanes[i];
        uint8_t *data = row_data(g, i), *end = data + l->staged;
        if (l->blocks == 0)
            continue;
        if (job == JOB_SEAL) {
            bytes_copy_blocks(l->out, data, l->staged);
            l->out += l->staged;
        }
        if (!l->ended)
            continue;
        uint8_t *row_end = data - l->prefix + KT_SHA512_BLOCK * l->blocks;
        end_mark(end, job == JOB_IV ? 0x80 : aad_bits(l), job == JOB_IV ? 0 : 0x80);
        bytes_zero(end + END_MARK_NBYTES, row_end);
        store_u64(row_end - 8, big_endian(8 * l->mac_nbytes));
    }
}

#endif
