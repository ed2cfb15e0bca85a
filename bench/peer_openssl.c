/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL at its best for one message at a time: a cipher context per key, of which only the IV is reset, and
 * raw SHA512_CTX copies of the HMAC midstates. Those low-level calls are deprecated, and a third faster on
 * short messages than EVP_MAC. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_peer.h"

struct ossl_key {
    EVP_CIPHER_CTX *enc, *dec;
    SHA512_CTX mac[2], iv[2];
};

struct openssl {
    const struct bench_load *load;
    EVP_CIPHER *cipher;
    struct ossl_key *keys; /* SEAL_KEYS: one, set anew for every message */
    size_t count;
    uint8_t *ivs;
};

static void hmac_pads(SHA512_CTX pads[2], const uint8_t key[32])
{
    uint8_t block[128];
    for (int i = 0; i < 2; i++) {
        memset(block, i ? 0x5c : 0x36, sizeof block);
        for (int j = 0; j < 32; j++)
            block[j] ^= key[j];
        SHA512_Init(&pads[i]);
        SHA512_Update(&pads[i], block, sizeof block);
    }
}

static void finish(SHA512_CTX *inner, const SHA512_CTX *outer, uint8_t digest[64])
{
    SHA512_CTX last = *outer;
    SHA512_Final(digest, inner);
    SHA512_Update(&last, digest, 64);
    SHA512_Final(digest, &last);
}

static void tag(const struct ossl_key *k, const uint8_t *from, size_t nbytes, size_t aad_nbytes,
                uint8_t digest[64])
{
    SHA512_CTX inner = k->mac[0];
    uint8_t al[8] = {0, 0, 0, 0, 0, 0, (uint8_t)(aad_nbytes >> 5), (uint8_t)(aad_nbytes << 3)};
    SHA512_Update(&inner, from, nbytes);
    SHA512_Update(&inner, al, sizeof al);
    finish(&inner, &k->mac[1], digest);
}

static bool set_key(struct openssl *o, struct ossl_key *k, const uint8_t *dek, enum bench_op op)
{
    hmac_pads(k->mac, dek);
    if (op == BENCH_SEAL_DETERMINISTIC)
        hmac_pads(k->iv, dek + 64);
    return EVP_EncryptInit_ex2(k->enc, o->cipher, dek + 32, NULL, NULL) == 1 &&
           (op == BENCH_SEAL_KEYS || EVP_DecryptInit_ex2(k->dec, o->cipher, dek + 32, NULL, NULL) == 1);
}

static void stop(void *context)
{
    struct openssl *o = context;
    for (size_t i = 0; i < o->count && o->keys; i++) {
        EVP_CIPHER_CTX_free(o->keys[i].enc);
        EVP_CIPHER_CTX_free(o->keys[i].dec);
    }
    EVP_CIPHER_free(o->cipher);
    free(o->keys);
    free(o->ivs);
    free(o);
}

static void *start(const struct bench_peer *peer, const struct bench_load *load)
{
    (void)peer;
    struct openssl *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->load = load;
    o->count = load->op == BENCH_SEAL_KEYS ? 1 : load->keys_count;
    o->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    o->keys = calloc(o->count, sizeof *o->keys);
    o->ivs = malloc(16 * load->count + 16);
    bool good = o->cipher && o->keys && o->ivs;
    for (size_t i = 0; i < o->count && good; i++) {
        o->keys[i].enc = EVP_CIPHER_CTX_new();
        o->keys[i].dec = EVP_CIPHER_CTX_new();
        good = o->keys[i].enc && o->keys[i].dec && set_key(o, &o->keys[i], load->deks[i], load->op);
    }
    if (good)
        return o;
    stop(o);
    return NULL;
}

/* sealed points behind the AAD; its IV is there, unless iv_keys make it. */
static bool seal_one(const struct ossl_key *k, bool deterministic, const uint8_t *in, size_t nbytes,
                     uint8_t *sealed, size_t aad_nbytes)
{
    uint8_t digest[64];
    int n, last;
    if (deterministic) {
        SHA512_CTX inner = k->iv[0];
        uint8_t al[8] = {0, 0, 0, 0, 0, 0, (uint8_t)(aad_nbytes >> 5), (uint8_t)(aad_nbytes << 3)};
        SHA512_Update(&inner, sealed - aad_nbytes, aad_nbytes);
        SHA512_Update(&inner, al, sizeof al);
        SHA512_Update(&inner, in, nbytes);
        finish(&inner, &k->iv[1], digest);
        memcpy(sealed, digest, 16);
    }
    if (!EVP_EncryptInit_ex2(k->enc, NULL, NULL, sealed, NULL) ||
        !EVP_EncryptUpdate(k->enc, sealed + 16, &n, in, (int)nbytes) ||
        !EVP_EncryptFinal_ex(k->enc, sealed + 16 + n, &last))
        return false;
    size_t body = 16 + (size_t)(n + last);
    tag(k, sealed - aad_nbytes, aad_nbytes + body, aad_nbytes, digest);
    memcpy(sealed + body, digest, 32);
    return true;
}

static long open_one(const struct ossl_key *k, const uint8_t *sealed, size_t nbytes, size_t aad_nbytes,
                     uint8_t *out)
{
    uint8_t digest[64];
    int n, last;
    tag(k, sealed - aad_nbytes, aad_nbytes + nbytes - 32, aad_nbytes, digest);
    if (CRYPTO_memcmp(digest, sealed + nbytes - 32, 32) != 0 ||
        !EVP_DecryptInit_ex2(k->dec, NULL, NULL, sealed, NULL) ||
        !EVP_DecryptUpdate(k->dec, out, &n, sealed + 16, (int)nbytes - 48) ||
        !EVP_DecryptFinal_ex(k->dec, out + n, &last))
        return -1;
    return n + last;
}

static bool rewrap_one(struct openssl *o, const struct kt_msg *m, const uint8_t iv[16])
{
    uint8_t dek[KT_WRAPPED_NBYTES], *out = o->load->out + m->out;
    memcpy(out, iv, 16);
    return open_one(&o->keys[0], o->load->in + m->in, m->in_nbytes, 0, dek) == KT_DEK_NBYTES &&
           seal_one(&o->keys[1], false, dek, KT_DEK_NBYTES, out, 0);
}

static bool pass(void *context)
{
    struct openssl *o = context;
    const struct bench_load *l = o->load;
    bool good = true;
    if (l->op == BENCH_SEAL_RANDOM || l->op == BENCH_REWRAP)
        good = RAND_bytes(o->ivs, (int)(16 * l->count)) == 1;
    for (size_t i = 0; i < l->count && good; i++) {
        struct kt_msg *m = &l->msgs[i];
        uint8_t *out = l->out + m->out;
        if (l->op == BENCH_OPEN) {
            long n = open_one(&o->keys[m->key], l->in + m->in, m->in_nbytes, m->aad_nbytes, out);
            m->out_nbytes = (uint32_t)n;
            good = n >= 0;
        } else if (l->op == BENCH_REWRAP) {
            good = rewrap_one(o, m, o->ivs + 16 * i);
        } else {
            if (l->op == BENCH_SEAL_RANDOM)
                memcpy(out, o->ivs + 16 * i, 16);
            if (l->op == BENCH_SEAL_KEYS)
                good = set_key(o, &o->keys[0], l->deks[m->key], l->op);
            good = good && seal_one(&o->keys[l->op == BENCH_SEAL_KEYS ? 0 : m->key],
                                    l->op == BENCH_SEAL_DETERMINISTIC, l->in + m->in, m->in_nbytes, out,
                                    m->aad_nbytes);
        }
    }
    return good;
}

static const char *version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

const struct bench_peer bench_openssl = {
    .name = "openssl", .ops = ~0u, .start = start, .pass = pass, .stop = stop, .version = version};

static struct openssl *reference(const uint8_t *dek)
{
    static struct openssl o;
    static struct ossl_key k;
    static uint8_t current[KT_DEK_NBYTES];
    if (!o.cipher) {
        o.cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
        o.keys = &k;
        k.enc = EVP_CIPHER_CTX_new();
        k.dec = EVP_CIPHER_CTX_new();
    }
    if (CRYPTO_memcmp(current, dek, sizeof current) != 0) {
        if (!k.enc || !k.dec || !set_key(&o, &k, dek, BENCH_SEAL_DETERMINISTIC))
            abort();
        memcpy(current, dek, sizeof current);
    }
    return &o;
}

size_t bench_reference_seal(const uint8_t dek[KT_DEK_NBYTES], const uint8_t *iv, const uint8_t *aad,
                            size_t aad_nbytes, const uint8_t *plain, size_t nbytes, uint8_t *sealed)
{
    (void)aad; /* stands before sealed, as in every arena */
    if (iv)
        memmove(sealed, iv, 16);
    if (!seal_one(reference(dek)->keys, !iv, plain, nbytes, sealed, aad_nbytes))
        abort();
    return KT_SEALED_NBYTES(nbytes);
}

long bench_reference_open(const uint8_t dek[KT_DEK_NBYTES], const uint8_t *aad, size_t aad_nbytes,
                          const uint8_t *sealed, size_t nbytes, uint8_t *plain)
{
    (void)aad;
    return open_one(reference(dek)->keys, sealed, nbytes, aad_nbytes, plain);
}
