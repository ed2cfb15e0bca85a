/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/jwt.h"

#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

static void put_claims(struct kt_secbuf *json, const struct kt_jwt_claims *claims)
{
    char times[80];
    kt_secbuf_text(json, "{\"iss\":");
    kt_secbuf_json(json, claims->issuer);
    kt_secbuf_text(json, ",\"aud\":");
    kt_secbuf_json(json, claims->audience);
    kt_secbuf_text(json, ",\"scope\":");
    kt_secbuf_json(json, claims->scope);
    snprintf(times, sizeof times, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", claims->issued_at,
             claims->issued_at + claims->lifetime_s);
    kt_secbuf_text(json, times);
}

static void put_unsigned(struct kt_secbuf *out, struct kt_secbuf *json, const struct kt_jwt_claims *claims)
{
    kt_secbuf_text(json, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (claims->key_id) {
        kt_secbuf_text(json, ",\"kid\":");
        kt_secbuf_json(json, claims->key_id);
    }
    kt_secbuf_text(json, "}");
    kt_secbuf_base64url(out, kt_secbuf_get(json));
    kt_secbuf_text(out, ".");
    kt_secbuf_reset(json);
    put_claims(json, claims);
    kt_secbuf_base64url(out, kt_secbuf_get(json));
}

static bool put_signature(struct kt_secbuf *out, size_t from, EVP_PKEY *key)
{
    uint8_t signature[1024]; /* RSA up to 8,192 bits */
    size_t nbytes = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, signature, &nbytes, out->data + from, out->nbytes - from) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return false;
    kt_secbuf_text(out, ".");
    kt_secbuf_base64url(out, kt_span_of(signature, nbytes));
    return !out->failed;
}

bool kt_jwt_sign(struct kt_secbuf *out, const struct kt_jwt_claims *claims, EVP_PKEY *key)
{
    if (!EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) > 8192)
        return false;
    struct kt_secbuf json;
    kt_secbuf_init(&json, out->pool);
    size_t from = out->nbytes;
    put_unsigned(out, &json, claims);
    bool ok = !out->failed && !json.failed && put_signature(out, from, key);
    kt_secbuf_free(&json);
    return ok;
}

static EVP_PKEY *from_der(const uint8_t *der, size_t nbytes)
{
    const uint8_t *at = der;
    return nbytes <= INT32_MAX ? d2i_AutoPrivateKey(NULL, &at, (long)nbytes) : NULL;
}

static EVP_PKEY *from_pem(struct kt_span text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.nbytes);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "") : NULL;
    BIO_free(bio);
    return key;
}

EVP_PKEY *kt_jwt_key(struct kt_span text, struct kt_secmem *secmem)
{
    if (text.nbytes == 0 || text.nbytes > 65536)
        return NULL;
    if (memmem(text.data, text.nbytes, "-----BEGIN", 10))
        return from_pem(text);
    if (text.data[0] == 0x30)
        return from_der(text.data, text.nbytes);
    size_t nbytes = 0;
    uint8_t *der = kt_secmem_alloc(secmem, text.nbytes);
    EVP_PKEY *key = NULL;
    if (der && kt_base64_decode(text, der, text.nbytes, &nbytes))
        key = from_der(der, nbytes);
    kt_secmem_free(secmem, der);
    return key;
}
