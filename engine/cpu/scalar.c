/* SPDX-License-Identifier: Apache-2.0 */
/* The portable backend: complete, constant time, and the oracle for all others. The tag's HMAC runs message
 * by message; CBC, serial within a message when it encrypts, takes four messages side by side. */
#include "engine/backend.h"
#include "engine/cpu/aes_bits.h"
#include "engine/cpu/sha512.h"

#define LANES KT_AES_BITS_BLOCKS

struct scalar_state {
    struct kt_aes_bits aes;
    struct kt_sha512 hash;
    uint8_t digest[KT_SHA512_DIGEST], tail[16];
    uint8_t blocks[LANES][16], chain[LANES][16];
};

struct span {
    const void *data;
    size_t nbytes;
};

/* digest = HMAC of the spans, from midstates. */
static void hmac(struct scalar_state *s, const uint64_t inner[8], const uint64_t outer[8],
                 const struct span *spans, size_t n)
{
    kt_sha512_resume(&s->hash, inner);
    for (size_t i = 0; i < n; i++)
        kt_sha512_add(&s->hash, spans[i].data, spans[i].nbytes);
    kt_sha512_finish(&s->hash, s->digest);
    kt_sha512_resume(&s->hash, outer);
    kt_sha512_add(&s->hash, s->digest, sizeof s->digest);
    kt_sha512_finish(&s->hash, s->digest);
}

/* AL: the AAD's length in bits, big-endian. */
static void aad_length(uint8_t al[8], unsigned aad_nbytes)
{
    memset(al, 0, 8);
    al[6] = (uint8_t)(8 * aad_nbytes >> 8);
    al[7] = (uint8_t)(8 * aad_nbytes);
}

/* The tag's HMAC; sealed points at the IV, behind the AAD. */
static void mac(struct scalar_state *s, const struct kt_key *key, const uint8_t *sealed, size_t nbytes,
                unsigned aad_nbytes)
{
    uint8_t al[8];
    aad_length(al, aad_nbytes);
    hmac(s, key->mac_inner, key->mac_outer,
         (struct span[]){{sealed - aad_nbytes, aad_nbytes + nbytes - 32}, {al, sizeof al}}, 2);
}

static void deterministic_iv(struct scalar_state *s, const struct kt_key *key, const uint8_t *in,
                             size_t nbytes, uint8_t *out, unsigned aad_nbytes)
{
    uint8_t al[8];
    aad_length(al, aad_nbytes);
    hmac(s, key->iv_inner, key->iv_outer,
         (struct span[]){{out - aad_nbytes, aad_nbytes}, {al, sizeof al}, {in, nbytes}}, 3);
    memcpy(out, s->digest, 16);
}

static inline void xor_block(uint8_t x[16], const uint8_t y[16])
{
    for (int i = 0; i < 16; i++)
        x[i] ^= y[i];
}

/* Block i of the plaintext, PKCS#7 padding included (RFC 5652, section 6.3). */
static void padded_block(uint8_t block[16], const uint8_t *in, size_t nbytes, size_t i)
{
    size_t left = nbytes - 16 * i;
    memset(block, (int)(16 - left), 16);
    memcpy(block, in + 16 * i, left < 16 ? left : 16);
}

static void cbc_encrypt(struct scalar_state *s, const struct kt_batch *batch, struct kt_msg *const *msgs,
                        size_t n)
{
    const uint8_t(*schedules[LANES])[16];
    size_t most = 0;
    for (size_t i = 0; i < LANES; i++) {
        const struct kt_msg *m = msgs[i < n ? i : 0];
        schedules[i] = batch->keys[m->key]->enc;
        memcpy(s->chain[i], batch->out + m->out, 16);
        most = m->in_nbytes / 16 + 1 > most ? m->in_nbytes / 16 + 1 : most;
    }
    kt_aes_bits_load(&s->aes, schedules);
    for (size_t b = 0; b < most; b++) {
        for (size_t i = 0; i < n; i++)
            if (b <= msgs[i]->in_nbytes / 16) {
                padded_block(s->blocks[i], batch->in + msgs[i]->in, msgs[i]->in_nbytes, b);
                xor_block(s->chain[i], s->blocks[i]);
            }
        kt_aes_bits_encrypt(&s->aes, s->chain);
        for (size_t i = 0; i < n; i++)
            if (b <= msgs[i]->in_nbytes / 16)
                memcpy(batch->out + msgs[i]->out + 16 + 16 * b, s->chain[i], 16);
    }
}

/* Not inlined: gcc 12 then takes the four blocks that it passes on for one, and warns. */
static __attribute__((noinline)) void seal_group(struct scalar_state *s, const struct kt_batch *batch,
                                                 struct kt_msg *const *msgs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (msgs[i]->mode == KT_MODE_DETERMINISTIC)
            deterministic_iv(s, batch->keys[msgs[i]->key], batch->in + msgs[i]->in, msgs[i]->in_nbytes,
                             batch->out + msgs[i]->out, msgs[i]->aad_nbytes);
    cbc_encrypt(s, batch, msgs, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *out = batch->out + msgs[i]->out;
        mac(s, batch->keys[msgs[i]->key], out, msgs[i]->out_nbytes, msgs[i]->aad_nbytes);
        memcpy(out + msgs[i]->out_nbytes - 32, s->digest, 32);
    }
}

/* Compilers vectorize portable code too, with the registers that every CPU of the architecture has. */
static void wipe(struct scalar_state *s)
{
    kt_backend_wipe(s, sizeof *s);
#if defined(__x86_64__)
#define ZERO(i) "pxor %%xmm" #i ", %%xmm" #i "\n\t"
    __asm__ volatile(ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9) ZERO(10)
                         ZERO(11) ZERO(12) ZERO(13) ZERO(14) ZERO(15)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                               "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#endif
}

static enum kt_status seal(void *state, const struct kt_batch *batch)
{
    struct scalar_state *s = state;
    struct kt_msg *group[LANES];
    size_t n = 0;
    for (size_t i = 0; i < batch->msgs_count; i++) {
        if (batch->msgs[i].status == KT_OK)
            group[n++] = &batch->msgs[i];
        if (n == LANES) {
            seal_group(s, batch, group, n);
            n = 0;
        }
    }
    if (n > 0)
        seal_group(s, batch, group, n);
    wipe(s);
    return KT_OK;
}

/* 0xff..ff when x is 0, else 0; x < 2^31. */
static inline uint32_t mask_zero(uint32_t x)
{
    return (uint32_t)((int32_t)(x - 1) >> 31);
}

static int tag_differs(const uint8_t *a, const uint8_t *b)
{
    uint32_t diff = 0;
    for (int i = 0; i < 32; i++)
        diff |= (uint32_t)(a[i] ^ b[i]);
    diff = (diff + 0xff) >> 8;
    KT_DECLASSIFY(&diff, sizeof diff);
    return (int)diff;
}

/* The padding's length, or 0 when it is none that PKCS#7 writes. */
static unsigned padding(const uint8_t block[16])
{
    uint32_t pad = block[15], bad = mask_zero(pad) | (~mask_zero(pad >> 4) & ~mask_zero(pad ^ 16));
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t inside = (uint32_t)((int32_t)(15 - i - pad) >> 31);
        bad |= inside & ~mask_zero(block[i] ^ pad);
    }
    uint32_t result = pad & ~bad;
    KT_DECLASSIFY(&result, sizeof result);
    return result;
}

/* Decrypts blocks [first, first + n) of the ciphertext that follows the IV at `sealed`. */
static void cbc_decrypt(struct scalar_state *s, const uint8_t *sealed, size_t first, size_t n)
{
    const uint8_t *from = sealed + 16 + 16 * first;
    memcpy(s->blocks, from, 16 * n);
    kt_aes_bits_decrypt(&s->aes, s->blocks);
    for (size_t i = 0; i < n; i++)
        xor_block(s->blocks[i], from + 16 * i - 16);
}

static void open_message(struct scalar_state *s, const struct kt_batch *batch, struct kt_msg *m)
{
    const struct kt_key *key = batch->keys[m->key];
    const uint8_t *sealed = batch->in + m->in;
    mac(s, key, sealed, m->in_nbytes, m->aad_nbytes);
    m->status = KT_E_UNAUTHENTIC;
    if (tag_differs(s->digest, sealed + m->in_nbytes - 32))
        return;
    kt_aes_bits_load(&s->aes, (const uint8_t(*const[])[16]){key->dec, key->dec, key->dec, key->dec});
    size_t blocks = (m->in_nbytes - 48) / 16;
    cbc_decrypt(s, sealed, blocks - 1, 1);
    unsigned pad = padding(s->blocks[0]);
    if (pad == 0)
        return;
    memcpy(s->tail, s->blocks[0], 16);
    uint8_t *out = batch->out + m->out;
    for (size_t b = 0; b + 1 < blocks; b += LANES) {
        size_t n = blocks - 1 - b < LANES ? blocks - 1 - b : LANES;
        cbc_decrypt(s, sealed, b, n);
        memcpy(out + 16 * b, s->blocks, 16 * n);
    }
    memcpy(out + 16 * (blocks - 1), s->tail, 16 - pad);
    m->out_nbytes = (uint32_t)(16 * blocks - pad);
    m->status = KT_OK;
}

static enum kt_status open_batch(void *state, const struct kt_batch *batch)
{
    struct scalar_state *s = state;
    for (size_t i = 0; i < batch->msgs_count; i++)
        if (batch->msgs[i].status == KT_OK)
            open_message(s, batch, &batch->msgs[i]);
    wipe(s);
    return KT_OK;
}

static void prepare(void *state, const uint8_t *deks, struct kt_key *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *dek = deks + KT_DEK_NBYTES * i;
        memset(keys[i], 0, sizeof *keys[i]);
        kt_hmac_midstates(dek, keys[i]->mac_inner, keys[i]->mac_outer);
        kt_aes_expand(dek + 32, keys[i]->enc, keys[i]->dec);
        kt_hmac_midstates(dek + 64, keys[i]->iv_inner, keys[i]->iv_outer);
    }
    wipe(state);
}

const struct kt_backend kt_backend_scalar = {
    .name = "scalar",
    .window = 4096,
    .aad_max = KT_AAD_MAX,
    .state_nbytes = sizeof(struct scalar_state),
    .prepare = prepare,
    .seal = seal,
    .open = open_batch,
};
