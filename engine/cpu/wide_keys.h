/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing keys in lanes: a key costs more than a short message, and a batch may bring one for each. */
#ifndef KT_ENGINE_CPU_WIDE_KEYS_H
#define KT_ENGINE_CPU_WIDE_KEYS_H

#include "engine/cpu/wide_batch.h"

/* The midstates of up to WIDE_LANES HMAC keys of 32 bytes under one pad. hmac_keys: the first, KT_DEK_NBYTES
 * before the next; offset: the midstate's place in struct kt_key. */
static inline void prepare_midstates(struct wide_state *s, const uint8_t *hmac_keys,
                                     struct kt_key *const *keys, size_t n, uint8_t pad, size_t offset)
{
    const uint64_t pads = pad * (uint64_t)0x0101010101010101;
    uint64_t *midstates[WIDE_LANES];
    for (size_t j = 4; j < 16; j++)
        for (size_t i = 0; i < WIDE_LANES; i += V_LANES)
            V_STORE(&s->sha.w[j][i], V_SET1(pads));
    for (size_t i = 0; i < WIDE_LANES; i++) {
        size_t k = i < n ? i : 0;
        for (size_t j = 0; j < 4; j++) {
            uint64_t word;
            memcpy(&word, hmac_keys + KT_DEK_NBYTES * k + 8 * j, sizeof word);
            s->sha.w[j][i] = big_endian(word) ^ pads;
        }
        midstates[i] = (uint64_t *)(void *)((uint8_t *)keys[k] + offset);
        s->sha.active[i] = 1;
    }
    lanes_compress(&s->sha, s->hash[0], s->inner, NULL, 0);
    lanes_scatter(midstates, s->hash[0]);
}

static void wide_prepare(void *state, const uint8_t *deks, struct kt_key *const *keys, size_t n)
{
    struct wide_state *s = state;
    lanes_fill(s->inner, kt_sha512_initial);
    for (size_t at = 0; at < n; at += WIDE_LANES) {
        size_t count = n - at < WIDE_LANES ? n - at : WIDE_LANES;
        const uint8_t *dek = deks + KT_DEK_NBYTES * at;
        prepare_midstates(s, dek, keys + at, count, 0x36, offsetof(struct kt_key, mac_inner));
        prepare_midstates(s, dek, keys + at, count, 0x5c, offsetof(struct kt_key, mac_outer));
        prepare_midstates(s, dek + 64, keys + at, count, 0x36, offsetof(struct kt_key, iv_inner));
        prepare_midstates(s, dek + 64, keys + at, count, 0x5c, offsetof(struct kt_key, iv_outer));
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
