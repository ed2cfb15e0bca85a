/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/selftest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "common/region.h"

/* draft-mcgrew-aead-aes-cbc-hmac-sha2-05, section 5.4: the key is 00 01 .. 3f, its MAC half first. */
#define MCGREW_AAD "The second principle of Auguste Kerckhoffs"
#define MCGREW_TEXT                                                                                          \
    "A cipher system must not be required to be secret, and it must be able to fall into the hands of the "  \
    "enemy without inconvenience"
static const uint8_t mcgrew_iv[16] = {
    0x1a, 0xf3, 0x8c, 0x2d, 0xc2, 0xb9, 0x6f, 0xfd, 0xd8, 0x66, 0x94, 0x09, 0x23, 0x41, 0xbc, 0x04,
};
static const uint8_t mcgrew_tag[32] = {
    0x4d, 0xd3, 0xb4, 0xc0, 0x88, 0xa7, 0xf4, 0x5c, 0x21, 0x68, 0x39, 0x64, 0x5b, 0x20, 0x12, 0xbf,
    0x2e, 0x62, 0x69, 0xa8, 0xc5, 0x6a, 0x81, 0x6d, 0xbc, 0x1b, 0x26, 0x77, 0x61, 0x95, 0x5b, 0xc5,
};

enum layout { MIXED, ALIKE, LAYOUTS };

#define COUNT_MAX 66
#define IN_NBYTES 10080
#define OUT_NBYTES 14704

/* SHA-512 of the sealed arenas of lay_out(). */
static const uint8_t sealed_digests[LAYOUTS][64] = {
    {0xf8, 0x54, 0x7d, 0xd5, 0x51, 0x8d, 0x0c, 0x24, 0x5b, 0x9d, 0xc0, 0x65, 0xcd, 0xc9, 0xc3, 0x15,
     0x9f, 0x51, 0x93, 0x6f, 0x52, 0xd3, 0x23, 0xc8, 0x28, 0xed, 0x13, 0x00, 0xf3, 0x2e, 0x36, 0xc4,
     0x06, 0x73, 0xf0, 0xb4, 0x7a, 0x24, 0xaf, 0x7c, 0x7b, 0x18, 0xad, 0x90, 0xf2, 0x75, 0xda, 0xa5,
     0xba, 0x82, 0x26, 0x42, 0xa5, 0x50, 0xb7, 0xca, 0x79, 0xde, 0x7d, 0xbc, 0x0a, 0x13, 0x24, 0x7b},
    {0x38, 0x7b, 0x11, 0x6e, 0x67, 0xec, 0xcc, 0x44, 0x20, 0xae, 0x59, 0x61, 0x6b, 0x6b, 0x98, 0x25,
     0x3a, 0x4c, 0xfd, 0xcc, 0xe8, 0x1d, 0x92, 0x5f, 0x10, 0xa5, 0x9b, 0x33, 0xdf, 0x09, 0x6f, 0x67,
     0x63, 0x71, 0x91, 0xba, 0x3b, 0x4c, 0x3b, 0x35, 0x48, 0xdc, 0xae, 0xb8, 0xcb, 0x3e, 0x41, 0x23,
     0x1e, 0xab, 0xb3, 0x07, 0x13, 0xa6, 0x19, 0x7e, 0xd4, 0x1c, 0x52, 0xba, 0x5d, 0xd7, 0x90, 0xc5},
};

struct selftest {
    struct kt_key keys[2];
    uint8_t deks[2][KT_DEK_NBYTES];
    uint8_t plain[IN_NBYTES], sealed[OUT_NBYTES], opened[OUT_NBYTES];
    struct kt_msg msgs[COUNT_MAX];
};

/* Arenas start as a fixed byte pattern, of which IVs, AADs and plaintexts are parts. */
static void fill(uint8_t *p, size_t nbytes, size_t from)
{
    for (size_t i = 0; i < nbytes; i++)
        p[i] = (uint8_t)((from + i) * 167 + 13);
}

static bool mcgrew_passes(const struct kt_backend *backend, void *state, struct selftest *t)
{
    const uint32_t aad = sizeof MCGREW_AAD - 1, text = sizeof MCGREW_TEXT - 1,
                   sealed = KT_SEALED_NBYTES(text);
    for (size_t i = 0; i < KT_DEK_NBYTES; i++)
        t->deks[0][i] = i < 64 ? (uint8_t)i : 0;
    struct kt_key *keys[] = {&t->keys[0]};
    backend->prepare(state, t->deks[0], keys, 1);
    memcpy(t->sealed, MCGREW_AAD, aad);
    memcpy(t->sealed + aad, mcgrew_iv, sizeof mcgrew_iv);
    t->msgs[0] = (struct kt_msg){.in_nbytes = text,
                                 .out = aad,
                                 .out_nbytes = sealed,
                                 .aad_nbytes = (uint16_t)aad,
                                 .mode = KT_MODE_IV_GIVEN};
    struct kt_batch batch = {(const uint8_t *)MCGREW_TEXT,       text, t->sealed, sizeof t->sealed,
                             (const struct kt_key *const *)keys, 1,    t->msgs,   1};
    return backend->seal(state, &batch) == KT_OK &&
           CRYPTO_memcmp(t->sealed + aad + sealed - 32, mcgrew_tag, sizeof mcgrew_tag) == 0;
}

static uint32_t count_of(enum layout layout)
{
    return layout == MIXED ? 64 : COUNT_MAX;
}

static uint32_t length_of(enum layout layout, uint32_t i)
{
    return layout == MIXED ? 5 * i : 50;
}

/* MIXED: lengths 0, 5, 10 .. 315; keys change every four messages, the mode every message; every eighth has
 * no AAD. ALIKE: what backends may have a path of its own for, one length, one AAD length and one key, and so
 * many messages that the last few fill no vector. */
static void lay_out(struct selftest *t, enum layout layout)
{
    uint32_t in = 0, out = 0;
    fill(t->deks[0], sizeof t->deks, 0);
    fill(t->plain, sizeof t->plain, 0);
    fill(t->sealed, sizeof t->sealed, 0);
    for (uint32_t i = 0; i < count_of(layout); i++) {
        uint32_t nbytes = length_of(layout, i), aad = layout == MIXED && i % 8 == 7 ? 0 : KT_AAD_NBYTES;
        t->msgs[i] = (struct kt_msg){.in = in,
                                     .in_nbytes = nbytes,
                                     .out = out + aad,
                                     .out_nbytes = (uint32_t)KT_SEALED_NBYTES(nbytes),
                                     .key = layout == MIXED ? i / 4 % 2 : 0,
                                     .aad_nbytes = (uint16_t)aad,
                                     .mode = i % 2 ? KT_MODE_DETERMINISTIC : KT_MODE_IV_GIVEN};
        in += nbytes;
        out += aad + t->msgs[i].out_nbytes;
    }
}

static bool sealing_passes(const struct kt_backend *backend, void *state, struct selftest *t,
                           const struct kt_key *const *keys, enum layout layout)
{
    struct kt_batch batch = {t->plain, IN_NBYTES, t->sealed, OUT_NBYTES, keys, 2, t->msgs, count_of(layout)};
    uint8_t digest[64];
    size_t n = sizeof digest;
    return backend->seal(state, &batch) == KT_OK &&
           EVP_Q_digest(NULL, "SHA512", NULL, t->sealed, OUT_NBYTES, digest, &n) == 1 &&
           CRYPTO_memcmp(digest, sealed_digests[layout], sizeof digest) == 0;
}

/* Opens what sealing wrote; message `forged` has a wrong bit in its tag and must be refused, no other. */
static bool opening_passes(const struct kt_backend *backend, void *state, struct selftest *t,
                           const struct kt_key *const *keys, enum layout layout)
{
    const uint32_t forged = 37, count = count_of(layout);
    for (uint32_t i = 0; i < count; i++) {
        struct kt_msg *m = &t->msgs[i];
        *m = (struct kt_msg){.in = m->out,
                             .in_nbytes = m->out_nbytes,
                             .out = m->out,
                             .key = m->key,
                             .aad_nbytes = m->aad_nbytes};
    }
    t->sealed[t->msgs[forged].in + t->msgs[forged].in_nbytes - 1] ^= 1;
    struct kt_batch batch = {t->sealed, OUT_NBYTES, t->opened, OUT_NBYTES, keys, 2, t->msgs, count};
    if (backend->open(state, &batch) != KT_OK)
        return false;
    const uint8_t *plain = t->plain;
    bool good = true;
    for (uint32_t i = 0; i < count; plain += length_of(layout, i), i++) {
        const struct kt_msg *m = &t->msgs[i];
        if (i == forged)
            good &= m->status == KT_E_UNAUTHENTIC;
        else
            good &= m->status == KT_OK && m->out_nbytes == length_of(layout, i) &&
                    CRYPTO_memcmp(t->opened + m->out, plain, length_of(layout, i)) == 0;
    }
    return good;
}

enum kt_status kt_selftest(const struct kt_backend *backend, void *state)
{
    struct kt_region memory = {0};
    enum kt_status status = kt_region_reserve(&memory, sizeof(struct selftest));
    if (status != KT_OK)
        return status;
    struct selftest *t = (struct selftest *)memory.data;
    bool good = mcgrew_passes(backend, state, t);
    struct kt_key *keys[] = {&t->keys[0], &t->keys[1]};
    const struct kt_key *const *prepared = (const struct kt_key *const *)keys;
    for (enum layout layout = MIXED; layout < LAYOUTS && good; layout++) {
        lay_out(t, layout);
        backend->prepare(state, t->deks[0], keys, 2);
        good = sealing_passes(backend, state, t, prepared, layout) &&
               opening_passes(backend, state, t, prepared, layout);
    }
    kt_region_free(&memory);
    return good ? KT_OK : KT_E_INTERNAL;
}
