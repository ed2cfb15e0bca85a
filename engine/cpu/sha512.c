/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cpu/sha512.h"

#include <string.h>

#include "engine/backend.h"

const uint64_t kt_sha512_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

const uint64_t kt_sha512_initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static inline uint64_t rotr(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

/* Section 6.4.2. The schedule is a ring of 16 words; w[t & 15] is renewed after its round has used it. */
static void compress_block(uint64_t state[8], const uint8_t *block)
{
    uint64_t w[16], s[8];
    for (int t = 0; t < 16; t++)
        w[t] = load_be64(block + 8 * t);
    memcpy(s, state, sizeof s);
    for (int t = 0; t < 80; t++) {
        uint64_t e = s[4], a = s[0];
        uint64_t t1 = s[7] + (rotr(e, 14) ^ rotr(e, 18) ^ rotr(e, 41)) + (s[6] ^ (e & (s[5] ^ s[6]))) +
                      kt_sha512_k[t] + w[t & 15];
        uint64_t t2 = (rotr(a, 28) ^ rotr(a, 34) ^ rotr(a, 39)) + ((a & s[1]) | (s[2] & (a | s[1])));
        s[7] = s[6], s[6] = s[5], s[5] = e, s[4] = s[3] + t1;
        s[3] = s[2], s[2] = s[1], s[1] = a, s[0] = t1 + t2;
        uint64_t w1 = w[(t + 1) & 15], w14 = w[(t + 14) & 15];
        w[t & 15] += (rotr(w1, 1) ^ rotr(w1, 8) ^ (w1 >> 7)) + w[(t + 9) & 15] +
                     (rotr(w14, 19) ^ rotr(w14, 61) ^ (w14 >> 6));
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void kt_sha512_compress(uint64_t state[8], const uint8_t *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        compress_block(state, blocks + KT_SHA512_BLOCK * i);
}

void kt_sha512_resume(struct kt_sha512 *hash, const uint64_t midstate[8])
{
    memcpy(hash->state, midstate, sizeof hash->state);
    hash->nbytes = KT_SHA512_BLOCK;
}

void kt_sha512_add(struct kt_sha512 *hash, const void *data, size_t nbytes)
{
    const uint8_t *p = data;
    size_t fill = hash->nbytes % KT_SHA512_BLOCK;
    hash->nbytes += nbytes;
    if (fill) {
        size_t take = nbytes < KT_SHA512_BLOCK - fill ? nbytes : KT_SHA512_BLOCK - fill;
        memcpy(hash->block + fill, p, take);
        p += take, nbytes -= take, fill += take;
        if (fill < KT_SHA512_BLOCK)
            return;
        kt_sha512_compress(hash->state, hash->block, 1);
    }
    kt_sha512_compress(hash->state, p, nbytes / KT_SHA512_BLOCK);
    if (nbytes % KT_SHA512_BLOCK)
        memcpy(hash->block, p + nbytes / KT_SHA512_BLOCK * KT_SHA512_BLOCK, nbytes % KT_SHA512_BLOCK);
}

/* Section 5.1.2. Lengths here are below 2^61 bytes, so the upper half of the 128-bit length is zero. */
void kt_sha512_finish(struct kt_sha512 *hash, uint8_t digest[KT_SHA512_DIGEST])
{
    size_t fill = hash->nbytes % KT_SHA512_BLOCK;
    hash->block[fill++] = 0x80;
    if (fill > KT_SHA512_BLOCK - 16) {
        memset(hash->block + fill, 0, KT_SHA512_BLOCK - fill);
        kt_sha512_compress(hash->state, hash->block, 1);
        fill = 0;
    }
    memset(hash->block + fill, 0, KT_SHA512_BLOCK - 8 - fill);
    store_be64(hash->block + KT_SHA512_BLOCK - 8, 8 * hash->nbytes);
    kt_sha512_compress(hash->state, hash->block, 1);
    for (int i = 0; i < 8; i++)
        store_be64(digest + 8 * i, hash->state[i]);
}

static void midstate(const uint8_t key[32], uint8_t pad, uint64_t state[8])
{
    uint8_t block[KT_SHA512_BLOCK];
    memset(block, pad, sizeof block);
    for (int i = 0; i < 32; i++)
        block[i] ^= key[i];
    memcpy(state, kt_sha512_initial, sizeof kt_sha512_initial);
    kt_sha512_compress(state, block, 1);
    kt_backend_wipe(block, sizeof block);
}

void kt_hmac_midstates(const uint8_t key[32], uint64_t inner[8], uint64_t outer[8])
{
    midstate(key, 0x36, inner);
    midstate(key, 0x5c, outer);
}
