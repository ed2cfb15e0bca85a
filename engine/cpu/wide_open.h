/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: the tags of a group first; then what is authentic is decrypted, and written once its padding is
 * known to be right. */
#ifndef KT_ENGINE_CPU_WIDE_OPEN_H
#define KT_ENGINE_CPU_WIDE_OPEN_H

#include "engine/cpu/wide_batch.h"

static inline bool tag_fits(const uint8_t made[32], const uint8_t *given)
{
    uint64_t diff = 0, a, b;
    for (int i = 0; i < 32; i += 8) {
        memcpy(&a, made + i, 8);
        memcpy(&b, given + i, 8);
        diff |= a ^ b;
    }
    diff = (diff | (0 - diff)) >> 63;
    KT_DECLASSIFY(&diff, sizeof diff);
    return diff == 0;
}

/* The length of the PKCS#7 padding that a block ends with, or 0 when it is none that a sealer writes. */
static inline unsigned padding_of(const uint8_t block[16])
{
    uint32_t pad = block[15], bad = (pad - 1) >> 4;
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t inside = (15 - i - pad) >> 31; /* 1: byte i is among the last pad bytes */
        bad |= (0 - inside) & (block[i] ^ pad);
    }
    uint32_t good = (bad | (0 - bad)) >> 31 ? 0 : pad;
    KT_DECLASSIFY(&good, sizeof good);
    return good;
}

static inline void conclude(struct kt_msg *m, unsigned padding)
{
    m->status = padding ? KT_OK : KT_E_UNAUTHENTIC;
    m->out_nbytes = padding ? m->in_nbytes - 48 - padding : 0;
}

/* Up to four messages that lie whole in their rows. */
static inline void open_short(const struct group *g, const uint8_t *authentic, unsigned first)
{
    const struct kt_key *keys[4];
    struct lane *lanes = &g->s->lanes[first];
    unsigned longest = 16;
    for (unsigned i = 0; i < 4; i++) {
        bool real = first + i < g->count;
        keys[i] = lanes[real ? i : 0].key;
        longest = real && lanes[i].staged > longest ? lanes[i].staged : longest;
    }
    cbc_decrypt_rows(row_data(g, first), keys, longest);
    for (unsigned i = 0; i < 4 && first + i < g->count; i++) {
        const uint8_t *plain = row_data(g, first + i);
        if (!authentic[first + i])
            continue;
        unsigned padding = padding_of(plain + lanes[i].staged - 16);
        conclude(lanes[i].msg, padding);
        if (padding)
            bytes_copy_blocks(lanes[i].out, plain, lanes[i].staged);
    }
}

/* The last block alone decides whether anything is written. */
static inline void open_long(const struct kt_batch *b, struct kt_msg *m)
{
    const struct kt_key *key = b->keys[m->key];
    const uint8_t *blocks = b->in + m->in + 16;
    size_t nbytes = m->in_nbytes - 48;
    uint8_t last[16];
    cbc_decrypt(last, blocks + nbytes - 16, key, 16);
    unsigned padding = padding_of(last);
    conclude(m, padding);
    if (padding)
        cbc_decrypt(b->out + m->out, blocks, key, nbytes);
    kt_backend_wipe(last, sizeof last);
}

static inline void open_group(const struct kt_batch *b, const struct group *g)
{
    uint8_t authentic[GROUP_MAX];
    bool all_short = true;
    for (unsigned i = 0; i < g->count; i++) {
        struct kt_msg *m = g->s->lanes[i].msg;
        authentic[i] = tag_fits(g->s->digests[i], b->in + m->in + m->in_nbytes - 32);
        m->status = KT_E_UNAUTHENTIC;
        all_short &= m->in_nbytes - 48 < CHUNK;
    }
    for (unsigned i = 0; all_short && i < g->count; i += 4)
        open_short(g, authentic, i);
    for (unsigned i = 0; !all_short && i < g->count; i++)
        if (authentic[i])
            open_long(b, g->s->lanes[i].msg);
}

static enum kt_status wide_open(void *state, const struct kt_batch *b)
{
    struct wide_state *s = state;
    size_t n = sort_window(s, b, JOB_OPEN);
    for (size_t at = 0; at < n;) {
        struct group g = take_group(s, b, s->order + at, n - at, JOB_OPEN);
        run_group(&g, JOB_OPEN);
        open_group(b, &g);
        at += g.count;
    }
    wipe(s);
    return KT_OK;
}

#endif
