/* SPDX-License-Identifier: Apache-2.0 */
/* [AEAD] draft-mcgrew-aead-aes-cbc-hmac-sha2-05, section 2, with the tag cut to 32 bytes: a key is MAC key,
 * AES key and a part for deterministic IVs that is not used here. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "kms/kmip.h"

enum { IV = 16, BODY = 112, TAG = 32 };

/* [AEAD] T = HMAC-SHA-512(Km, IV || S || bits of the absent AAD), first half. */
static bool tag_of(const uint8_t kek[96], const uint8_t wrapped[160], uint8_t tag[64])
{
    uint8_t covered[IV + BODY + 8] = {0};
    unsigned nbytes = 0;
    memcpy(covered, wrapped, IV + BODY);
    return HMAC(EVP_sha512(), kek, 32, covered, sizeof covered, tag, &nbytes) && nbytes == 64;
}

static bool cbc(bool seal, const uint8_t kek[96], const uint8_t *iv, const uint8_t *in, int in_nbytes,
                uint8_t *out, int out_nbytes)
{
    uint8_t room[BODY + 16];
    int first = 0, last = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_CipherInit_ex2(ctx, EVP_aes_256_cbc(), kek + 32, iv, seal, NULL) == 1 &&
              EVP_CipherUpdate(ctx, room, &first, in, in_nbytes) == 1 &&
              EVP_CipherFinal_ex(ctx, room + first, &last) == 1 && first + last == out_nbytes;
    if (ok)
        memcpy(out, room, (size_t)out_nbytes);
    EVP_CIPHER_CTX_free(ctx);
    kt_wipe(room, sizeof room);
    return ok;
}

bool kt_kek_seal(const uint8_t kek[96], const uint8_t iv[16], const uint8_t dek[96], uint8_t wrapped[160])
{
    uint8_t tag[64];
    memcpy(wrapped, iv, IV);
    if (!cbc(true, kek, iv, dek, 96, wrapped + IV, BODY) || !tag_of(kek, wrapped, tag))
        return false;
    memcpy(wrapped + IV + BODY, tag, TAG);
    return true;
}

bool kt_kek_open(const uint8_t kek[96], const uint8_t wrapped[160], uint8_t dek[96])
{
    uint8_t tag[64];
    return tag_of(kek, wrapped, tag) && CRYPTO_memcmp(tag, wrapped + IV + BODY, TAG) == 0 &&
           cbc(false, kek, wrapped, wrapped + IV, BODY, dek, 96);
}
