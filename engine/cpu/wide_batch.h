/* SPDX-License-Identifier: Apache-2.0 */
/* A window of messages: sorted by length, taken in groups, sealed or opened. */
#ifndef KT_ENGINE_CPU_WIDE_BATCH_H
#define KT_ENGINE_CPU_WIDE_BATCH_H

#include "engine/cpu/wide_rows.h"

/* Bytes that a message brings to its inner hash. */
static inline uint32_t hashed_nbytes(const struct kt_msg *m, enum job job)
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

static inline bool takes_part(const struct kt_msg *m, enum job job)
{
    return m->status == KT_OK && (job != JOB_IV || m->mode == KT_MODE_DETERMINISTIC);
}

/* order = the messages that take part, short ones first (counting sort). Returns how many. */
static PHASE size_t sort_window(struct wide_state *s, const struct kt_batch *b, enum job job,
                                uint16_t order[WIDE_WINDOW])
{
    uint16_t start[WIDE_CLASSES + 1] = {0};
    unsigned lowest = WIDE_CLASSES, highest = 0;
    size_t n = 0;
    for (size_t i = 0; i < b->msgs_count; i++) {
        if (!takes_part(&b->msgs[i], job))
            continue;
        unsigned class = class_of(hashed_nbytes(&b->msgs[i], job));
        s->class[n] = (uint8_t) class;
        order[n++] = (uint16_t)i;
        lowest = class < lowest ? class : lowest;
        highest = class > highest ? class : highest;
    }
    if (lowest >= highest)
        return n;
    for (size_t i = 0; i < n; i++)
        start[s->class[i] + 1]++;
    for (unsigned c = lowest; c < highest; c++)
        start[c + 1] = (uint16_t)(start[c + 1] + start[c]);
    for (size_t i = 0; i < n; i++)
        s->sorted[start[s->class[i]]++] = order[i];
    memcpy(order, s->sorted, n * sizeof order[0]);
    return n;
}

static inline void set_lane(struct lane *l, const struct kt_batch *b, struct kt_msg *m, enum job job)
{
    const uint8_t *in = b->in + m->in;
    uint8_t *out = b->out + m->out;
    *l = (struct lane){
        .key = b->keys[m->key],
        .prefix_at = (job == JOB_OPEN ? in : out) - m->aad_nbytes,
        .data = job == JOB_OPEN ? in + 16 : in,
        .out = job == JOB_OPEN ? out : out + 16,
        .msg = m,
        .left = job == JOB_OPEN ? m->in_nbytes - 48 : m->in_nbytes,
        .prefix = (uint16_t)(m->aad_nbytes + (job == JOB_IV ? 8 : 16)),
        .mac_nbytes = (uint64_t)KT_SHA512_BLOCK + hashed_nbytes(m, job),
    };
}

/* Lanes past the group's end fill its last vector: they hash nothing, under the first one's key. */
static inline void fill_lanes(struct wide_state *s, unsigned count)
{
    for (unsigned i = count; i % WIDE_LANES; i++)
        s->lanes[i] = (struct lane){
            .key = s->lanes[0].key, .msg = s->lanes[0].msg, .prefix = s->lanes[0].prefix, .ended = true};
}

static inline void prefetch(const struct kt_batch *b, const struct kt_msg *m)
{
    const uint8_t *in = b->in + m->in;
    uint8_t *out = b->out + m->out;
    __builtin_prefetch(in);
    __builtin_prefetch(in + m->in_nbytes);
    __builtin_prefetch(out - m->aad_nbytes, 1);
    __builtin_prefetch(out + 63, 1);
}

/* Takes the next group from the sorted window, and asks the caches for the one after it. */
static PHASE struct group take_group(struct wide_state *s, const struct kt_batch *b, const uint16_t *order,
                                     size_t n, enum job job)
{
    struct group g = {.s = s, .one_key = true};
    unsigned most = GROUP_MAX;
    while (g.count < n && g.count < most) {
        struct kt_msg *m = &b->msgs[order[g.count]];
        if (hashed_nbytes(m, job) > SHORT_NBYTES) {
            if (g.count >= GROUP_LONG)
                break;
            most = GROUP_LONG;
        }
        set_lane(&s->lanes[g.count], b, m, job);
        g.one_key &= s->lanes[g.count].key == s->lanes[0].key;
        g.count++;
    }
    fill_lanes(s, g.count);
    g.data_at = ROW_START + s->lanes[0].prefix;
    for (size_t i = g.count; i < n && i < g.count + GROUP_MAX; i++)
        prefetch(b, &b->msgs[order[i]]);
    return g;
}

static PHASE void store_tags(const struct group *g)
{
    for (unsigned i = 0; i < g->count; i++)
        memcpy(g->s->lanes[i].out, g->s->digests[i], 32);
}

static PHASE void store_ivs(const struct group *g)
{
    for (unsigned i = 0; i < g->count; i++)
        memcpy(g->s->lanes[i].out - 16, g->s->digests[i], 16);
}

/* How much of the scratch memory a call has used, so that a small batch does not wipe all of it. */
static PHASE void wipe(struct wide_state *s, size_t n)
{
    size_t rows = n < GROUP_MAX ? (n + 3) & ~(size_t)3 : GROUP_MAX;
    kt_backend_wipe(&s->sha, sizeof s->sha);
    kt_backend_wipe(s->hash, sizeof s->hash);
    kt_backend_wipe(s->round_keys, sizeof s->round_keys);
    kt_backend_wipe(s->digests, sizeof s->digests);
    kt_backend_wipe(s->rows, rows * ROW_NBYTES);
    wipe_vectors();
}

static inline __attribute__((always_inline)) void seal_groups(struct wide_state *s, const struct kt_batch *b,
                                                              const uint16_t *order, size_t n, enum job job)
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

static enum kt_status wide_seal(void *state, const struct kt_batch *b)
{
    struct wide_state *s = state;
    size_t n = sort_window(s, b, JOB_SEAL, s->order);
    bool deterministic = false;
    for (size_t i = 0; i < b->msgs_count; i++)
        deterministic |= b->msgs[i].mode == KT_MODE_DETERMINISTIC;
    if (deterministic)
        seal_groups(s, b, s->iv_order, sort_window(s, b, JOB_IV, s->iv_order), JOB_IV);
    seal_groups(s, b, s->order, n, JOB_SEAL);
    wipe(s, n);
    return KT_OK;
}

#endif
