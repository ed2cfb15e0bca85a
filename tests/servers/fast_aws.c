/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/servers/fast_aws.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define CIPHER_MAX 1024

bool aws_between(const char *text, const char *name, const char *end, char *out, size_t nbytes)
{
    const char *at = strstr(text, name);
    if (!at)
        return false;
    at += strlen(name);
    if (*end == '"')
        at += strspn(at, ": \"");
    size_t n = strcspn(at, end);
    if (n >= nbytes)
        return false;
    memcpy(out, at, n);
    out[n] = 0;
    return true;
}

static int unbase64(const char *text, uint8_t *out)
{
    size_t n = strlen(text);
    int got = n > CIPHER_MAX ? -1 : EVP_DecodeBlock(out, (const uint8_t *)text, (int)n);
    for (; got > 0 && n && text[n - 1] == '='; n--)
        got--;
    return got;
}

static bool gcm(bool seal, const char *key_id, const uint8_t *iv, const uint8_t *in, int n, uint8_t *out,
                uint8_t *tag)
{
    uint8_t key[32];
    unsigned key_nbytes;
    int done, last;
    EVP_Digest(key_id, strlen(key_id), key, &key_nbytes, EVP_sha256(), NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, seal) == 1 &&
              EVP_CipherUpdate(ctx, out, &done, in, n) == 1 &&
              (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16, tag) == 1) &&
              EVP_CipherFinal_ex(ctx, out + done, &last) == 1 &&
              (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* length of the key id, key id, IV, tag, ciphertext */
static int wrap(const char *key_id, const uint8_t *plain, int n, uint8_t *out)
{
    size_t id = strlen(key_id);
    out[0] = (uint8_t)id;
    memcpy(out + 1, key_id, id);
    RAND_bytes(out + 1 + id, 12);
    return gcm(true, key_id, out + 1 + id, plain, n, out + 29 + id, out + 13 + id) ? (int)(29 + id) + n : -1;
}

static int unwrap(const uint8_t *in, int n, char *key_id, uint8_t *plain)
{
    uint8_t tag[16];
    int id = n > 0 ? in[0] : 0;
    if (n < 29 + id)
        return -1;
    memcpy(key_id, in + 1, (size_t)id);
    key_id[id] = 0;
    memcpy(tag, in + 13 + id, 16);
    return gcm(false, key_id, in + 1 + id, in + 29 + id, n - 29 - id, plain, tag) ? n - 29 - id : -1;
}

int aws_refuse(int status, const char *type, char *reply, size_t nbytes)
{
    snprintf(reply, nbytes, "{\"__type\":\"%s\",\"message\":\"as asked\"}", type);
    return status;
}

int aws_answer(const char *head, const char *body, char *reply, size_t nbytes)
{
    char text[CIPHER_MAX + 1], key_id[256], source[256] = "", b64[2048];
    uint8_t blob[CIPHER_MAX], plain[CIPHER_MAX], made[CIPHER_MAX + 300];
    int n;
    bool encrypt = strstr(head, "TrentService.Encrypt"), decrypt = strstr(head, "TrentService.Decrypt");
    if (!aws_between(body, encrypt ? "\"Plaintext\"" : "\"CiphertextBlob\"", "\"", text, sizeof text) ||
        (n = unbase64(text, blob)) < 0)
        return aws_refuse(400, "ValidationException", reply, nbytes);
    if (!encrypt && (n = unwrap(blob, n, source, plain)) < 0)
        return aws_refuse(400, "InvalidCiphertextException", reply, nbytes);
    if (strstr(body, "\"DryRun\":true"))
        return aws_refuse(400, "DryRunOperationException", reply, nbytes);
    if (decrypt) {
        EVP_EncodeBlock((uint8_t *)b64, plain, n);
        snprintf(reply, nbytes, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", source, b64);
        return 200;
    }
    aws_between(body, encrypt ? "\"KeyId\"" : "\"DestinationKeyId\"", "\"", key_id, sizeof key_id);
    EVP_EncodeBlock((uint8_t *)b64, made, wrap(key_id, encrypt ? blob : plain, n, made));
    snprintf(reply, nbytes, "{\"KeyId\":\"%s\",\"SourceKeyId\":\"%s\",\"CiphertextBlob\":\"%s\"}", key_id,
             source, b64);
    return 200;
}
