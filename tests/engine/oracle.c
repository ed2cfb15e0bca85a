/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/oracle.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok)
{
    if (!ok)
        abort();
}

struct piece {
    const uint8_t *data;
    size_t nbytes;
};

static void hmac_pieces(const uint8_t *key, size_t key_nbytes, const struct piece *pieces, size_t n,
                        uint8_t digest[64])
{
    static EVP_MAC_CTX *ctx;
    if (!ctx) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        must((ctx = EVP_MAC_CTX_new(mac)) != NULL);
        EVP_MAC_free(mac);
    }
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA512", 0),
                           OSSL_PARAM_construct_end()};
    size_t out;
    must(EVP_MAC_init(ctx, key_nbytes ? key : (const uint8_t *)"", key_nbytes, params));
    for (size_t i = 0; i < n; i++)
        must(EVP_MAC_update(ctx, pieces[i].data, pieces[i].nbytes));
    must(EVP_MAC_final(ctx, digest, &out, 64) && out == 64);
}

void oracle_hmac(const uint8_t *key, size_t key_nbytes, const uint8_t *data, size_t nbytes,
                 uint8_t digest[64])
{
    hmac_pieces(key, key_nbytes, &(struct piece){data, nbytes}, 1, digest);
}

static void aad_bits(uint8_t al[8], size_t aad_nbytes)
{
    for (int i = 0; i < 8; i++)
        al[i] = (uint8_t)((uint64_t)aad_nbytes * 8 >> (56 - 8 * i));
}

static size_t cbc(const uint8_t key[32], const uint8_t iv[16], int padding, const uint8_t *in, size_t nbytes,
                  uint8_t *out)
{
    static EVP_CIPHER_CTX *ctx;
    if (!ctx)
        must((ctx = EVP_CIPHER_CTX_new()) != NULL);
    int n = 0, last = 0;
    must(EVP_EncryptInit_ex2(ctx, EVP_aes_256_cbc(), key, iv, NULL));
    must(EVP_CIPHER_CTX_set_padding(ctx, padding));
    must(EVP_EncryptUpdate(ctx, out, &n, in, (int)nbytes));
    must(EVP_EncryptFinal_ex(ctx, out + n, &last));
    return (size_t)(n + last);
}

void oracle_cbc(const uint8_t key[32], const uint8_t iv[16], const uint8_t *in, size_t nbytes, uint8_t *out)
{
    cbc(key, iv, 0, in, nbytes, out);
}

void oracle_tag(const uint8_t mac_key[32], const uint8_t *aad, size_t aad_nbytes,
                const uint8_t *iv_and_blocks, size_t nbytes, uint8_t tag[32])
{
    uint8_t al[8], digest[64];
    aad_bits(al, aad_nbytes);
    hmac_pieces(mac_key, 32, (struct piece[]){{aad, aad_nbytes}, {iv_and_blocks, nbytes}, {al, 8}}, 3,
                digest);
    memcpy(tag, digest, 32);
}

size_t oracle_seal(const uint8_t dek[96], const uint8_t *iv, const uint8_t *aad, size_t aad_nbytes,
                   const uint8_t *plain, size_t nbytes, uint8_t *sealed)
{
    uint8_t al[8], digest[64];
    aad_bits(al, aad_nbytes);
    if (!iv) {
        hmac_pieces(dek + 64, 32, (struct piece[]){{aad, aad_nbytes}, {al, 8}, {plain, nbytes}}, 3, digest);
        iv = digest;
    }
    memmove(sealed, iv, 16);
    size_t n = 16 + cbc(dek + 32, sealed, 1, plain, nbytes, sealed + 16);
    oracle_tag(dek, aad, aad_nbytes, sealed, n, sealed + n);
    return n + 32;
}
