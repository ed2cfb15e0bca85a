/* SPDX-License-Identifier: Apache-2.0 */
/* The flat layout of a prepared key, the same for every backend, so that one key table serves them all. */
#ifndef KT_ENGINE_KEY_H
#define KT_ENGINE_KEY_H

#include <assert.h>
#include <stdint.h>

#include "keyturn/engine.h"

#define KT_AES_ROUNDS 14

/* HMAC midstates: the SHA-512 state, as host integers, after the one block of key XOR ipad (inner) or opad
 * (outer), FIPS 198-1. AES schedules are bytes in the order of FIPS 197: enc for the cipher, dec for the
 * equivalent inverse cipher (section 5.3.5), first round key first: dec[0] = enc[14], dec[14] = enc[0],
 * between them InvMixColumns(enc[14 - i]). That is also what AES instructions expect. */
struct kt_key {
    _Alignas(KT_KEY_ALIGN) uint64_t mac_inner[8];
    uint64_t mac_outer[8];
    uint64_t iv_inner[8], iv_outer[8];
    uint8_t enc[KT_AES_ROUNDS + 1][16], enc_end[16];
    uint8_t dec[KT_AES_ROUNDS + 1][16], dec_end[16];
};

static_assert(sizeof(struct kt_key) == KT_KEY_NBYTES, "KT_KEY_NBYTES is part of the interface");

#endif
