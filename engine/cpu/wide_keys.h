/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing keys in lanes: a key costs more than a short message, and a batch may bring one for each. */
#ifndef KT_ENGINE_CPU_WIDE_KEYS_H
#define KT_ENGINE_CPU_WIDE_KEYS_H

#include "engine/cpu/wide_batch.h"

/* The midstates of one of the four pads of up to WIDE_LANES keys. from: the HMAC key's place in a DEK;
 * offset: the midstate's place in struct kt_key. */
static inline void prepare_midstates(struct wide_state *s, const uint8_t *deks, struct kt_key *const *keys,
                                     size_t n, size_t from, uint8_t pad, size_t offset)
{
    const uint8_t *rows[WIDE_LANES];
    uint64_t *midstates[WIDE_LANES];
    for (size_t i = 0; i < WIDE_LANES; i++) {
        const uint8_t *key = deks + KT_DEK_NBYTES * (i < n ? i : 0) + from;
        uint8_t *row = s->rows[i] + ROW_START;
        memset(row, pad, KT_SHA512_BLOCK);
        for (int j = 0; j < 32; j++)
            row[j] = pad ^ key[j];
        rows[i] = row;
        midstates[i] = (uint64_t *)(void *)((uint8_t *)keys[i < n ? i : 0] + offset);
        s->sha.active[i] = 1;
    }
    lanes_compress(&s->sha, s->hash[0], s->inner, rows, 0);
    lanes_scatter(midstates, s->hash[0]);
}

static void wide_prepare(void *state, const uint8_t *deks, struct kt_key *const *keys, size_t n)
{
    struct wide_state *s = state;
    lanes_fill(s->inner, kt_sha512_initial);
    s->used_rows = WIDE_LANES;
    s->used_to = ROW_START + KT_SHA512_BLOCK;
    for (size_t at = 0; at < n; at += WIDE_LANES) {
        size_t count = n - at < WIDE_LANES ? n - at : WIDE_LANES;
        const uint8_t *dek = deks + KT_DEK_NBYTES * at;
        prepare_midstates(s, dek, keys + at, count, 0, 0x36, offsetof(struct kt_key, mac_inner));
        prepare_midstates(s, dek, keys + at, count, 0, 0x5c, offsetof(struct kt_key, mac_outer));
        prepare_midstates(s, dek, keys + at, count, 64, 0x36, offsetof(struct kt_key, iv_inner));
        prepare_midstates(s, dek, keys + at, count, 64, 0x5c, offsetof(struct kt_key, iv_outer));
        for (size_t i = at; i < at + count; i++) {
            memset(keys[i]->enc_end, 0, sizeof keys[i]->enc_end);
            memset(keys[i]->dec_end, 0, sizeof keys[i]->dec_end);
        }
        for (size_t i = 0; i < count; i += EXPAND_LANES)
            aes_expand(dek + KT_DEK_NBYTES * i + 32, KT_DEK_NBYTES, keys + at + i,
                       count - i < EXPAND_LANES ? count - i : EXPAND_LANES);
    }
    wipe(s);
}

#endif
