/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC-SHA-512 of a group's rows, a set of WIDE_LANES at a time. */
#ifndef KT_ENGINE_CPU_WIDE_HASH_H
#define KT_ENGINE_CPU_WIDE_HASH_H

#include "engine/cpu/wide_alike.h"

/* Midstates to s->inner and s->outer for the lanes from `first` on. One key's are filled in once for a whole
 * call. */
PHASE void load_midstates(const struct group *g, unsigned first, enum job job)
{
    struct wide_state *s = g->s;
    const uint64_t *inner[WIDE_LANES], *outer[WIDE_LANES];
    if (g->one_key && s->filled == s->lanes[0].key && (s->filled_for == JOB_IV) == (job == JOB_IV))
        return;
    for (unsigned i = 0; i < WIDE_LANES; i++) {
        const struct kt_key *key = s->lanes[first + i].key;
        inner[i] = job == JOB_IV ? key->iv_inner : key->mac_inner;
        outer[i] = job == JOB_IV ? key->iv_outer : key->mac_outer;
    }
    s->filled = g->one_key ? s->lanes[0].key : NULL;
    s->filled_for = job;
    if (g->one_key) {
        lanes_fill(s->inner, inner[0]);
        lanes_fill(s->outer, outer[0]);
    } else {
        lanes_gather(s->inner, inner);
        lanes_gather(s->outer, outer);
    }
}

/* The few lanes that are left when some messages are much longer than the others: a vector call costs as much
 * as SCALAR_LANES single ones. */
PHASE void hash_one_by_one(const uint64_t active[WIDE_LANES], const uint8_t *const rows[WIDE_LANES],
                           wide_hash to, wide_hash from)
{
    memmove(to, from, sizeof(wide_hash));
    for (unsigned i = 0; i < WIDE_LANES; i++) {
        uint64_t state[8];
        for (int w = 0; w < 8; w++)
            state[w] = to[w][i];
        kt_sha512_compress(state, rows[i], active[i]);
        for (int w = 0; w < 8; w++)
            to[w][i] = state[w];
    }
}

/* Where each lane's row begins and how many blocks it has; the most of them. busy: lanes that have any. */
PHASE uint64_t find_rows(const struct group *g, unsigned first, const uint8_t *rows[WIDE_LANES],
                         unsigned *busy)
{
    const struct lane *lanes = &g->s->lanes[first];
    uint64_t most = 0, *active = g->s->sha.active;
    if (g->alike) {
        most = g->s->lanes[0].blocks;
        *busy = g->count - first;
        for (unsigned i = 0; i < WIDE_LANES; i++) {
            rows[i] = row_data(g, first + i) - g->s->lanes[0].prefix;
            active[i] = i < *busy ? most : 0;
        }
        return most;
    }
    *busy = 0;
    for (unsigned i = 0; i < WIDE_LANES; i++) {
        rows[i] = row_data(g, first + i) - lanes[i].prefix;
        active[i] = lanes[i].blocks;
        most = active[i] > most ? active[i] : most;
        *busy += active[i] != 0;
    }
    return most;
}

/* The inner hash goes on from `from` over what the rows hold. Its result goes to `to`, on the way there it
 * stands in h; `to` may be the words of the next block. */
PHASE void hash_rows(const struct group *g, unsigned first, wide_hash to, wide_hash h, wide_hash from)
{
    const uint8_t *rows[WIDE_LANES];
    unsigned busy;
    uint64_t most = find_rows(g, first, rows, &busy);
    if (busy <= SCALAR_LANES) {
        hash_one_by_one(g->s->sha.active, rows, to, from);
        return;
    }
    for (uint64_t b = 0; b < most; b++) {
        lanes_compress(&g->s->sha, b + 1 < most ? h : to, from, rows, b);
        from = h;
    }
}

/* Once the rows hold all messages' ends, digests[i] = the first 32 bytes of lane i's HMAC. The outer hash
 * takes the inner state where it is left, word by word: no digest is stored and loaded in between. */
PHASE void hash(const struct group *g, enum job job, bool begins)
{
    struct wide_state *s = g->s;
    for (unsigned first = 0; first < g->count; first += WIDE_LANES) {
        uint64_t(*h)[WIDE_LANES] = s->hash[first / WIDE_LANES];
        if (begins || g->ended)
            load_midstates(g, first, job);
        hash_rows(g, first, g->ended ? s->sha.w : h, h, begins ? s->inner : h);
        if (!g->ended)
            continue;
        lanes_digest_block(&s->sha);
        lanes_compress(&s->sha, h, s->outer, NULL, 0);
        lanes_digests(&s->digests[first], h);
    }
}

/* digests[i] = the first 32 bytes of lane i's HMAC; sealing, its ciphertext is written too. */
PHASE void run_group(struct group *g, enum job job)
{
    bool begins = true;
    if (job == JOB_SEAL)
        cbc_keys(g->s->round_keys, g->s->lanes, g->count, g->one_key);
    for (;;) {
        if (job == JOB_SEAL)
            encrypt(g);
        if (g->alike)
            finish_alike(g, job);
        else
            finish(g, job);
        hash(g, job, begins);
        if (g->ended)
            return;
        stage_more(g, job);
        begins = false;
    }
}

#endif
