/* SPDX-License-Identifier: Apache-2.0 */
/* A window of messages: sorted by length, taken in groups, sealed or opened. */
#ifndef KT_ENGINE_CPU_WIDE_BATCH_H
#define KT_ENGINE_CPU_WIDE_BATCH_H

#include "engine/cpu/wide_hash.h"

/* Bytes that a message brings to its inner hash. */
PHASE uint32_t hashed_nbytes(const struct kt_msg *m, enum job job)
{
    uint32_t rest = job == JOB_SEAL   ? m->out_nbytes - 24
                    : job == JOB_OPEN ? m->in_nbytes - 24
                                      : m->in_nbytes + 8;
    return m->aad_nbytes + rest;
}

/* Sorting classes: a step of 16 bytes up to 1 KiB, so that both SHA-512 and AES blocks of neighbours agree;
 * then eighths of an octave. */
static inline unsigned class_of(uint32_t nbytes)
{
    unsigned steps = (nbytes + 16) / 16;
    if (steps < 64)
        return steps;
    unsigned octave = 31u - (unsigned)__builtin_clz(steps);
    return 64 + 8 * (octave - 6) + (steps >> (octave - 3) & 7);
}

PHASE bool takes_part(const struct kt_msg *m, enum job job)
{
    return m->status == KT_OK && (job != JOB_IV || m->mode == KT_MODE_DETERMINISTIC);
}

/* s->order = the messages that take part, short ones first, and by key where these are few, so that most
 * groups have one key (counting sort). Returns how many. Its counters are no local array: below the frames of
 * this file lies what the kernels spill, and no deeper than KT_STACK_NBYTES. */
PHASE size_t sort_window(struct wide_state *s, const struct kt_batch *b, enum job job)
{
    uint16_t *start = s->start;
    unsigned lowest = WIDE_CLASSES * FEW_KEYS, highest = 0, class = 0;
    const uint32_t by_key = b->keys_count <= FEW_KEYS ? FEW_KEYS - 1 : 0;
    uint32_t last_nbytes = 0, last_aad = UINT32_MAX;
    size_t n = 0;
    s->aads_alike = true;
    s->deterministic = false;
    for (size_t i = 0; i < b->msgs_count; i++) {
        const struct kt_msg *m = &b->msgs[i];
        if (!takes_part(m, job))
            continue;
        s->deterministic |= m->mode == KT_MODE_DETERMINISTIC;
        if (m->in_nbytes != last_nbytes || m->aad_nbytes != last_aad) {
            last_nbytes = m->in_nbytes;
            s->aads_alike &= last_aad == UINT32_MAX || last_aad == m->aad_nbytes;
            last_aad = m->aad_nbytes;
            class = FEW_KEYS * class_of(hashed_nbytes(m, job));
        }
        unsigned place = class + (m->key & by_key);
        lowest = place < lowest ? place : lowest;
        highest = place > highest ? place : highest;
        s->class[n] = (uint16_t)place;
        s->order[n++] = (uint16_t)i;
    }
    s->scattered = lowest < highest;
    if (!s->scattered)
        return n;
    memset(start + lowest, 0, (highest - lowest + 2) * sizeof start[0]);
    for (size_t i = 0; i < n; i++)
        start[s->class[i] + 1]++;
    for (unsigned c = lowest; c < highest; c++)
        start[c + 1] = (uint16_t)(start[c + 1] + start[c]);
    for (size_t i = 0; i < n; i++)
        s->sorted[start[s->class[i]]++] = s->order[i];
    memcpy(s->order, s->sorted, n * sizeof s->order[0]);
    return n;
}

/* Field by field: a whole struct would be built on the stack, and loaded in other widths than it was stored.
 */
PHASE void set_lane(struct lane *l, const struct kt_batch *b, struct kt_msg *m, enum job job)
{
    l->key = b->keys[m->key];
    l->data = job == JOB_OPEN ? b->in + m->in + 16 : b->in + m->in;
    l->out = job == JOB_OPEN ? b->out + m->out : b->out + m->out + 16;
    l->msg = m;
    l->mac_nbytes = (uint64_t)KT_SHA512_BLOCK + hashed_nbytes(m, job);
    l->left = job == JOB_OPEN ? m->in_nbytes - 48 : m->in_nbytes;
    l->prefix = (uint16_t)(m->aad_nbytes + (job == JOB_IV ? 8 : 16));
    l->ended = false;
}

/* Lanes past the group's end fill its last vector: they hash nothing, under the first one's key. */
PHASE void fill_lanes(struct wide_state *s, unsigned count)
{
    for (unsigned i = count; i % WIDE_LANES; i++)
        s->lanes[i] = (struct lane){
            .key = s->lanes[0].key, .msg = s->lanes[0].msg, .prefix = s->lanes[0].prefix, .ended = true};
}

/* A cache may be asked for any address, also for one outside an arena, where no pointer may point. */
#define ASK(p, at, writing) __builtin_prefetch((const void *)((uintptr_t)(p) + (at)), writing)

PHASE void prefetch(const struct kt_batch *b, const struct kt_msg *m, enum job job)
{
    const uint8_t *in = b->in + m->in, *out = b->out + m->out;
    const uintptr_t aad = m->aad_nbytes;
    ASK(in, job == JOB_OPEN ? -aad : 0, 0);
    ASK(in, (uintptr_t)m->in_nbytes - 1, 0);
    ASK(out, job == JOB_OPEN ? 0 : -aad, 1);
    ASK(out, 79, 1);
}

/* What wipe() has to wipe. Rows of a sorted group are no longer than 32 bytes more than its last. */
PHASE void note_use(struct wide_state *s, const struct group *g, unsigned longest, enum job job)
{
    unsigned rows = job == JOB_SEAL ? cbc_rows(g->count) : (g->count + 3) & ~3u;
    unsigned to = g->data_at + longest + 32 + ROW_TAIL;
    s->used_rows = rows > s->used_rows ? rows : s->used_rows;
    s->used_to = to > s->used_to ? to : s->used_to;
}

/* One class, one length of AAD, less than a chunk: the last of a sorted group is like the first. */
PHASE bool group_alike(const struct wide_state *s, const struct kt_msg *first, const struct kt_msg *last,
                       enum job job)
{
    uint32_t longest = hashed_nbytes(last, job);
    return job != JOB_IV && s->aads_alike && longest < CHUNK &&
           class_of(hashed_nbytes(first, job)) == class_of(longest);
}

PHASE void stage_group(struct group *g, const struct kt_batch *b, const uint16_t *order, size_t n,
                       enum job job)
{
    struct lane *lanes = g->s->lanes;
    const struct kt_key *key = b->keys[b->msgs[order[0]].key];
    unsigned prefix = lanes[0].prefix, staged = lanes[0].staged;
    for (unsigned i = 0; i < g->count; i++) {
        struct kt_msg *m = &b->msgs[order[i]];
        const uint8_t *aad = (job == JOB_OPEN ? b->in + m->in : b->out + m->out) - m->aad_nbytes;
        if (g->s->scattered && i + GROUP_MAX < n)
            prefetch(b, &b->msgs[order[i + GROUP_MAX]], job);
        if (g->alike) {
            g->one_key &= stage_alike(g, i, b, m, prefix, staged, job) == key;
            continue;
        }
        set_lane(&lanes[i], b, m, job);
        stage_prefix(row_data(g, i), &lanes[i], aad, job);
        stage_data(row_data(g, i), &lanes[i], job);
        g->one_key &= lanes[i].key == key;
        g->ended &= lanes[i].ended;
    }
}

/* Takes the next group from the sorted window, stages it, and asks the caches for the one after it, unless
 * messages are taken in the order of the arenas, which the caches foresee. */
PHASE struct group take_group(struct wide_state *s, const struct kt_batch *b, const uint16_t *order, size_t n,
                              enum job job)
{
    struct group g = {
        .s = s, .count = n < GROUP_MAX ? (unsigned)n : GROUP_MAX, .one_key = true, .ended = true};
    struct kt_msg *first = &b->msgs[order[0]], *last = &b->msgs[order[g.count - 1]];
    g.data_at = ROW_START + first->aad_nbytes + (job == JOB_IV ? 8 : 16);
    g.alike = group_alike(s, first, last, job);
    if (g.alike) {
        set_lane(&s->lanes[0], b, first, job);
        size_lane(&s->lanes[0], job);
    }
    stage_group(&g, b, order, n, job);
    fill_lanes(s, g.count);
    unsigned longest = job == JOB_OPEN ? last->in_nbytes : last->in_nbytes + 16;
    note_use(s, &g, longest < CHUNK && s->aads_alike ? longest : CHUNK, job);
    return g;
}

PHASE void store_tags(const struct group *g)
{
    for (unsigned i = 0; i < g->count; i++)
        memcpy(g->s->lanes[i].out, g->s->digests[i], 32);
}

PHASE void store_ivs(const struct group *g)
{
    for (unsigned i = 0; i < g->count; i++)
        memcpy(g->s->lanes[i].out - 16, g->s->digests[i], 16);
}

/* Wipes what a call has used of the scratch memory: a small batch does not pay for all of it. */
static __attribute__((noinline)) void wipe(struct wide_state *s)
{
    bytes_zero((uint8_t *)s, s->rows[0]);
    for (unsigned i = 0; i < s->used_rows; i++)
        bytes_zero(s->rows[i], s->rows[i] + s->used_to);
    __asm__ volatile("" : : "r"(s) : "memory");
    s->used_rows = s->used_to = 0;
    wipe_vectors();
}

PHASE void seal_groups(struct wide_state *s, const struct kt_batch *b, const uint16_t *order, size_t n,
                       enum job job)
{
    for (size_t at = 0; at < n;) {
        struct group g = take_group(s, b, order + at, n - at, job);
        run_group(&g, job);
        if (job == JOB_IV)
            store_ivs(&g);
        else
            store_tags(&g);
        at += g.count;
    }
}

static __attribute__((noinline)) void make_ivs(struct wide_state *s, const struct kt_batch *b)
{
    size_t n = sort_window(s, b, JOB_IV);
    seal_groups(s, b, s->order, n, JOB_IV);
}

static enum kt_status wide_seal(void *state, const struct kt_batch *b)
{
    struct wide_state *s = state;
    size_t n = sort_window(s, b, JOB_SEAL);
    if (s->deterministic) {
        make_ivs(s, b);
        n = sort_window(s, b, JOB_SEAL);
    }
    seal_groups(s, b, s->order, n, JOB_SEAL);
    wipe(s);
    return KT_OK;
}

#endif
