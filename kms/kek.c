/* SPDX-License-Identifier: Apache-2.0 */
/* [AEAD] draft-mcgrew-aead-aes-cbc-hmac-sha2-05, section 2, with the tag cut to 32 bytes: a key is MAC key,
 * AES key and a part for deterministic IVs that is not used here. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "kms/kmip.h"

enum { IV = 16, BLOCK = 16, DEK = 96, BODY = DEK + BLOCK, TAG = 32 };

/* PKCS #7 behind a DEK, which fills its blocks. */
static const uint8_t padding[BLOCK] = {16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16};

/* [AEAD] T = HMAC-SHA-512(Km, IV || S || bits of the absent AAD), first half. */
static bool tag_of(const uint8_t kek[96], const uint8_t wrapped[160], uint8_t tag[64])
{
    uint8_t covered[IV + BODY + 8] = {0};
    unsigned nbytes = 0;
    memcpy(covered, wrapped, IV + BODY);
    return HMAC(EVP_sha512(), kek, 32, covered, sizeof covered, tag, &nbytes) && nbytes == 64;
}

/* Whole blocks, straight from in to out: each side may be locked memory. */
static bool cbc(bool seal, const uint8_t kek[96], const uint8_t *iv, const uint8_t *in, int nbytes,
                uint8_t *out)
{
    int made = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_CipherInit_ex2(ctx, EVP_aes_256_cbc(), kek + 32, iv, seal, NULL) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_CipherUpdate(ctx, out, &made, in, nbytes) == 1 &&
              made == nbytes;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool kt_kek_seal(const uint8_t kek[96], const uint8_t iv[16], const uint8_t dek[96], uint8_t wrapped[160])
{
    uint8_t tag[64], *last = wrapped + IV + DEK;
    memcpy(wrapped, iv, IV);
    if (!cbc(true, kek, iv, dek, DEK, wrapped + IV) || !cbc(true, kek, last - BLOCK, padding, BLOCK, last) ||
        !tag_of(kek, wrapped, tag))
        return false;
    memcpy(wrapped + IV + BODY, tag, TAG);
    return true;
}

/* The padding comes first, so that what is no DEK is never written. */
bool kt_kek_open(const uint8_t kek[96], const uint8_t wrapped[160], uint8_t dek[96])
{
    uint8_t tag[64], end[BLOCK];
    const uint8_t *last = wrapped + IV + DEK;
    bool ok = tag_of(kek, wrapped, tag) && CRYPTO_memcmp(tag, wrapped + IV + BODY, TAG) == 0 &&
              cbc(false, kek, last - BLOCK, last, BLOCK, end) && CRYPTO_memcmp(end, padding, BLOCK) == 0 &&
              cbc(false, kek, wrapped, wrapped + IV, DEK, dek);
    kt_wipe(end, sizeof end);
    return ok;
}
