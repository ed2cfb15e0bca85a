/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-512 (FIPS 180-4) and HMAC-SHA-512 from midstates (FIPS 198-1), portable. Constant time: no branch or
 * address depends on data, only on lengths. */
#ifndef KT_ENGINE_CPU_SHA512_H
#define KT_ENGINE_CPU_SHA512_H

#include <stddef.h>
#include <stdint.h>

#define KT_SHA512_BLOCK 128
#define KT_SHA512_DIGEST 64

extern const uint64_t kt_sha512_k[80];      /* round constants, section 4.2.3 */
extern const uint64_t kt_sha512_initial[8]; /* section 5.3.5 */

/* n blocks of 128 bytes into state. */
void kt_sha512_compress(uint64_t state[8], const uint8_t *blocks, size_t n);

/* A hash under way. Holds secrets: the caller wipes it. */
struct kt_sha512 {
    uint64_t state[8];
    uint64_t nbytes; /* hashed so far, the midstate's block included */
    uint8_t block[KT_SHA512_BLOCK];
};

/* Goes on from the state after one block. */
void kt_sha512_resume(struct kt_sha512 *hash, const uint64_t midstate[8]);
void kt_sha512_add(struct kt_sha512 *hash, const void *data, size_t nbytes);
void kt_sha512_finish(struct kt_sha512 *hash, uint8_t digest[KT_SHA512_DIGEST]);

/* The two midstates of an HMAC key of 32 bytes. */
void kt_hmac_midstates(const uint8_t key[32], uint64_t inner[8], uint64_t outer[8]);

#endif
