/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256 (FIPS 197) on four blocks at once in 64-bit bit slices, portable. Constant time: no table, no
 * branch or address that depends on data. The four blocks may have four different keys. */
#ifndef KT_ENGINE_CPU_AES_BITS_H
#define KT_ENGINE_CPU_AES_BITS_H

#include <stdint.h>

#include "engine/key.h"

#define KT_AES_BITS_BLOCKS 4

/* Bit slices of one schedule per block. Secret: the caller wipes it. */
struct kt_aes_bits {
    uint64_t round[KT_AES_ROUNDS + 1][8];
};

/* schedules[i]: kt_key.enc or kt_key.dec for block i. */
void kt_aes_bits_load(struct kt_aes_bits *keys, const uint8_t (*const schedules[KT_AES_BITS_BLOCKS])[16]);

/* In place; encrypt wants enc schedules, decrypt dec schedules. */
void kt_aes_bits_encrypt(const struct kt_aes_bits *keys, uint8_t blocks[KT_AES_BITS_BLOCKS][16]);
void kt_aes_bits_decrypt(const struct kt_aes_bits *keys, uint8_t blocks[KT_AES_BITS_BLOCKS][16]);

/* Both schedules of one key, as kt_key holds them. */
void kt_aes_expand(const uint8_t key[32], uint8_t enc[KT_AES_ROUNDS + 1][16],
                   uint8_t dec[KT_AES_ROUNDS + 1][16]);

#endif
