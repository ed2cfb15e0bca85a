/* SPDX-License-Identifier: Apache-2.0 */
/* One group's way through the phases: stage, encrypt, finish, hash. See wide.h for the row's layout. */
#ifndef KT_ENGINE_CPU_WIDE_ROWS_H
#define KT_ENGINE_CPU_WIDE_ROWS_H

#include "engine/cpu/wide.h"

/* A group under way: rows and lanes [0, count), their data at data_at in each row. */
struct group {
    struct wide_state *s;
    unsigned count, data_at;
    bool one_key;
};

static inline uint8_t *row_data(const struct group *g, unsigned i)
{
    return g->s->rows[i] + g->data_at;
}

static inline uint64_t aad_bits(const struct lane *l)
{
    return big_endian(8 * (uint64_t)l->msg->aad_nbytes);
}

/* What the hash reads before the data: AAD | IV as they stand in the arena, or AAD | AL. */
static inline void stage_prefix(uint8_t *data, const struct lane *l, enum job job)
{
    if (job != JOB_IV) {
        bytes_copy(data - l->prefix, l->prefix_at, l->prefix);
        return;
    }
    if (l->prefix > 8)
        bytes_copy(data - l->prefix, l->prefix_at, l->prefix - 8u);
    store_u64(data - 8, aad_bits(l));
}

/* The message's end: what is left, and when sealing its padding. */
static inline void stage_end(uint8_t *data, struct lane *l, enum job job)
{
    if (job == JOB_SEAL) {
        bytes_pad(data, l->data, l->left);
        l->staged = (uint16_t)(16 * (l->left / 16 + 1));
    } else {
        if (l->left)
            bytes_copy(data, l->data, l->left);
        l->staged = (uint16_t)l->left;
    }
    /* AL or nothing, the bit 1, zeros, the length in 16 bytes: FIPS 180-4, section 5.1.2 */
    unsigned nbytes = l->prefix + l->staged + (job == JOB_IV ? 0 : 8);
    l->blocks = (uint16_t)((nbytes + 17 + KT_SHA512_BLOCK - 1) / KT_SHA512_BLOCK);
    l->left = 0;
    l->ended = true;
}

/* Puts the next chunk of a message into its row, behind the bytes of the chunk before that the hash has not
 * read: data starts a prefix's length behind a block boundary, and so does every chunk. */
static inline void stage(const struct group *g, unsigned i, enum job job, bool first)
{
    struct lane *l = &g->s->lanes[i];
    uint8_t *data = row_data(g, i);
    if (first) {
        stage_prefix(data, l, job);
    } else if (l->ended) {
        l->staged = l->blocks = 0;
        return;
    } else {
        bytes_copy(data - l->prefix, data + CHUNK - l->prefix, l->prefix);
    }
    if (l->left < CHUNK) {
        stage_end(data, l, job);
        return;
    }
    bytes_copy(data, l->data, CHUNK);
    l->data += CHUNK;
    l->left -= CHUNK;
    l->staged = CHUNK;
    l->blocks = CHUNK / KT_SHA512_BLOCK;
}

/* Ciphertext to its place, and behind the message's end what closes the hash. */
static inline void finish(const struct group *g, unsigned i, enum job job)
{
    struct lane *l = &g->s->lanes[i];
    uint8_t *data = row_data(g, i);
    if (l->staged && job == JOB_SEAL) {
        bytes_copy_blocks(l->out, data, l->staged);
        l->out += l->staged;
    }
    if (!l->ended || !l->blocks)
        return;
    uint8_t *end = data + l->staged, *row_end = data - l->prefix + KT_SHA512_BLOCK * l->blocks;
    bytes_zero(end, row_end);
    if (job != JOB_IV) {
        store_u64(end, aad_bits(l));
        end += 8;
    }
    *end = 0x80;
    store_u64(row_end - 8, big_endian(8 * l->mac_nbytes));
}

/* Encrypts what is staged, up to GROUP_LONG rows at a time, each time as many blocks as the longest of them
 * has. */
static PHASE void encrypt(const struct group *g)
{
    struct wide_state *s = g->s;
    for (unsigned i = 0; i < g->count; i += GROUP_LONG) {
        unsigned count = g->count - i < GROUP_LONG ? g->count - i : GROUP_LONG, longest = 0;
        for (unsigned j = i; j < i + count; j++)
            longest = s->lanes[j].staged > longest ? s->lanes[j].staged : longest;
        if (!g->one_key || i == 0)
            cbc_keys(s->round_keys, &s->lanes[i], count, g->one_key);
        cbc_encrypt((const uint8_t(*)[GROUP_LONG][16])s->round_keys, row_data(g, i), count, longest / 16,
                    g->one_key);
    }
}

/* The few lanes that are left when one message is much longer than the others: a vector call costs as much as
 * SCALAR_LANES single ones. */
static inline void hash_one_by_one(const struct group *g, unsigned first, wide_hash h,
                                   const uint64_t active[WIDE_LANES])
{
    for (unsigned i = 0; i < WIDE_LANES; i++) {
        if (!active[i])
            continue;
        uint64_t state[8];
        const struct lane *l = &g->s->lanes[first + i];
        for (int w = 0; w < 8; w++)
            state[w] = h[w][i];
        kt_sha512_compress(state, row_data(g, first + i) - l->prefix, active[i]);
        for (int w = 0; w < 8; w++)
            h[w][i] = state[w];
    }
}

/* The inner hash of what the rows hold. */
static PHASE void hash(const struct group *g)
{
    struct wide_sha *sha = &g->s->sha;
    for (unsigned first = 0; first < g->count; first += WIDE_LANES) {
        const uint8_t *rows[WIDE_LANES];
        uint64_t most = 0, busy = 0;
        for (unsigned i = 0; i < WIDE_LANES; i++) {
            const struct lane *l = &g->s->lanes[first + i];
            rows[i] = row_data(g, first + i) - l->prefix;
            sha->active[i] = l->blocks;
            most = l->blocks > most ? l->blocks : most;
            busy += l->blocks != 0;
        }
        if (busy <= SCALAR_LANES)
            hash_one_by_one(g, first, g->s->hash[first / WIDE_LANES], sha->active);
        else
            for (uint64_t b = 0; b < most; b++) {
                lanes_load(sha->w, rows, KT_SHA512_BLOCK * b);
                lanes_compress(sha, g->s->hash[first / WIDE_LANES], b);
            }
    }
}

/* Midstates of the lanes from `first` on to h. */
static inline void load_midstates(const struct group *g, unsigned first, wide_hash h, size_t offset)
{
    const uint64_t *midstates[WIDE_LANES];
    const struct lane *lanes = &g->s->lanes[first];
    for (unsigned i = 0; i < WIDE_LANES; i++)
        midstates[i] = (const uint64_t *)(const void *)((const uint8_t *)lanes[i].key + offset);
    if (g->one_key)
        lanes_fill(h, midstates[0]);
    else
        lanes_gather(h, midstates);
}

static PHASE void begin_hash(const struct group *g, enum job job)
{
    size_t inner = job == JOB_IV ? offsetof(struct kt_key, iv_inner) : offsetof(struct kt_key, mac_inner);
    for (unsigned first = 0; first < g->count; first += WIDE_LANES)
        load_midstates(g, first, g->s->hash[first / WIDE_LANES], inner);
}

/* The outer hash takes the inner state as it stands, word by word: no digest is stored and loaded in between.
 */
static PHASE void end_hash(const struct group *g, enum job job)
{
    size_t outer = job == JOB_IV ? offsetof(struct kt_key, iv_outer) : offsetof(struct kt_key, mac_outer);
    struct wide_sha *sha = &g->s->sha;
    for (unsigned first = 0; first < g->count; first += WIDE_LANES) {
        uint64_t(*h)[WIDE_LANES] = g->s->hash[first / WIDE_LANES];
        lanes_digest_block(sha, h);
        load_midstates(g, first, h, outer);
        lanes_compress(sha, h, 0);
        lanes_digests(&g->s->digests[first], h);
    }
}

static PHASE bool stage_all(const struct group *g, enum job job, bool first)
{
    bool more = false;
    for (unsigned i = 0; i < g->count; i++) {
        stage(g, i, job, first);
        more |= !g->s->lanes[i].ended;
    }
    return more;
}

static PHASE void finish_all(const struct group *g, enum job job)
{
    for (unsigned i = 0; i < g->count; i++)
        finish(g, i, job);
}

/* digests[i] = the first 32 bytes of lane i's HMAC; sealing, its ciphertext is written too. */
static inline __attribute__((always_inline)) void run_group(const struct group *g, enum job job)
{
    begin_hash(g, job);
    bool first = true, more = true;
    while (more) {
        more = stage_all(g, job, first);
        if (job == JOB_SEAL)
            encrypt(g);
        finish_all(g, job);
        hash(g);
        first = false;
    }
    end_hash(g, job);
}

#endif
