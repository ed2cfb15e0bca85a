/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/azure.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <strings.h>

#include "kms/json.h"

#define API "api-version=7.1"
#define VERSIONS_MAX ((size_t)64 << 10) /* bytes of version names: about 1,900 versions */

static enum kt_verdict request(struct kt_kms_call *call, const struct kt_token *token, struct kt_exchange *x,
                               int url_nbytes)
{
    if (url_nbytes < 0 || (size_t)url_nbytes >= sizeof x->url)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the key's address is too long");
    kt_exchange_header(x, "Authorization", "Bearer ", kt_token_first(token), NULL);
    return KT_V_SEND;
}

enum kt_verdict kt_azure_build(struct kt_kms_call *call, const struct kt_cmk *cmk, const char *version,
                               const struct kt_token *token, struct kt_exchange *x)
{
    x->method = KT_POST;
    kt_exchange_header(x, "Content-Type", "application/json", NULL);
    kt_secbuf_text(&x->body, "{\"alg\":\"RSA-OAEP-256\",\"value\":\"");
    kt_secbuf_base64url(&x->body, call->in);
    kt_secbuf_text(&x->body, "\"}");
    return request(call, token, x,
                   snprintf(x->url, sizeof x->url, "https://%s/keys/%s/%s/%s?" API, cmk->vault, cmk->name,
                            version ? version : "", call->op == KT_KMS_WRAP ? "wrapkey" : "unwrapkey"));
}

static bool mentions(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

static enum kt_verdict judge_error(struct kt_kms_call *call, const struct kt_exchange *x)
{
    char code[60] = "", inner[60] = "", message[220] = "";
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    if (json) {
        snprintf(code, sizeof code, "%s", kt_doc_text_or_empty(json, "error.code"));
        snprintf(inner, sizeof inner, "%s", kt_doc_text_or_empty(json, "error.innererror.code"));
        snprintf(message, sizeof message, "%s", kt_doc_text_or_empty(json, "error.message"));
        kt_json_free(json);
    }
    enum kt_verdict verdict = kt_verdict_of_http(call, x);
    if (verdict != KT_V_DONE)
        return verdict;
    if (x->status == 401)
        return kt_verdict_say(call, KT_V_EXPIRED, KT_KMS_R_CREDENTIALS,
                              "the access token is not accepted: %s", message);
    if (strcmp(inner, "KeyDisabled") == 0 || mentions(message, "disabled key") ||
        mentions(message, "key is disabled"))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DISABLED, "%s: %s", code, message);
    if (x->status == 403)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DENIED, "%s: %s", code, message);
    if (x->status == 404 && *code)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_MISSING, "%s: %s", code, message);
    if (x->status == 400 && *code)
        return kt_verdict_say(call, KT_V_FINAL,
                              call->op == KT_KMS_UNWRAP ? KT_KMS_R_CIPHERTEXT : KT_KMS_R_CONFIG, "%s: %s",
                              code, message);
    return kt_verdict_say(call, *code ? KT_V_FINAL : KT_V_FAULT, *code ? KT_KMS_R_CONFIG : KT_KMS_R_REPLY,
                          "HTTP status %ld %s: %s", x->status, *code ? code : "with an unreadable reply",
                          message);
}

/* The version in "https://vault/keys/name/version", NULL when kid is not of this key. Vaults with a default
 * port name none in a kid. */
static const char *version_of(const struct kt_cmk *cmk, const char *kid)
{
    char key[900];
    size_t host = strcspn(cmk->vault, ":");
    snprintf(key, sizeof key, "/keys/%s/", cmk->name);
    if (!kid || strncmp(kid, "https://", 8) != 0 || strncasecmp(kid + 8, cmk->vault, host) != 0)
        return NULL;
    const char *path = strchr(kid + 8 + host, '/');
    if (!path || strncasecmp(path, key, strlen(key)) != 0)
        return NULL;
    const char *version = path + strlen(key);
    size_t n = strspn(version, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    return n > 0 && n <= 64 && version[n] == 0 ? version : NULL;
}

static bson_t *reply_json(struct kt_kms_call *call, const struct kt_exchange *x, enum kt_verdict *verdict)
{
    *verdict = KT_V_DONE;
    if (x->status != 200) {
        *verdict = judge_error(call, x);
        return NULL;
    }
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    if (!json)
        *verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is no JSON object");
    return json;
}

enum kt_verdict kt_azure_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const char *version,
                               const struct kt_exchange *x)
{
    enum kt_verdict verdict;
    bson_t *json = reply_json(call, x, &verdict);
    if (!json)
        return verdict;
    const char *value = kt_doc_text(json, "value"), *used = version_of(cmk, kt_doc_text(json, "kid"));
    if (!value)
        verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply lacks its result");
    else if (!used || (version && strcmp(used, version) != 0))
        verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is for another key (%s)",
                                 kt_doc_text_or_empty(json, "kid"));
    else
        verdict = kt_verdict_result(call, kt_span_str(value));
    kt_json_free(json);
    return verdict;
}

enum kt_verdict kt_azure_build_key(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                   const struct kt_token *token, struct kt_exchange *x)
{
    return request(call, token, x,
                   snprintf(x->url, sizeof x->url, "https://%s/keys/%s%s%s?" API, cmk->vault, cmk->name,
                            cmk->version ? "/" : "", cmk->version ? cmk->version : ""));
}

/* A key that can wrap; NULL (and the verdict) otherwise. */
static const char *usable_version(struct kt_kms_call *call, const struct kt_cmk *cmk, const bson_t *json,
                                  enum kt_verdict *verdict)
{
    const char *version = version_of(cmk, kt_doc_text(json, "key.kid"));
    const char *type = kt_doc_text_or_empty(json, "key.kty");
    bson_iter_t it, enabled;
    bool off = bson_iter_init(&it, json) && bson_iter_find_descendant(&it, "attributes.enabled", &enabled) &&
               !bson_iter_as_bool(&enabled);
    if (!version || (cmk->version && strcmp(version, cmk->version) != 0))
        *verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is for another key (%s)",
                                  kt_doc_text_or_empty(json, "key.kid"));
    else if (off)
        *verdict = kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DISABLED, "version %s is disabled", version);
    else if (strncmp(type, "RSA", 3) != 0)
        *verdict = kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DISABLED,
                                  "the key is of type %.20s; wrapping needs an RSA key", type);
    else
        return version;
    return NULL;
}

static enum kt_verdict put_resolved(struct kt_kms_call *call, const struct kt_cmk *cmk, const char *version)
{
    bson_t doc = BSON_INITIALIZER;
    enum kt_verdict verdict = KT_V_DONE;
    bool ok = BSON_APPEND_UTF8(&doc, "provider", cmk->provider) &&
              BSON_APPEND_UTF8(&doc, "keyVaultEndpoint", cmk->vault) &&
              BSON_APPEND_UTF8(&doc, "keyName", cmk->name) && BSON_APPEND_UTF8(&doc, "keyVersion", version);
    if (ok && doc.len <= call->out_capacity) {
        memcpy(call->out, bson_get_data(&doc), doc.len);
        call->out_nbytes = doc.len;
    } else {
        verdict = kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the masterKey is too long");
    }
    bson_destroy(&doc);
    return verdict;
}

enum kt_verdict kt_azure_parse_resolve(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                       const struct kt_exchange *x)
{
    enum kt_verdict verdict;
    bson_t *json = reply_json(call, x, &verdict);
    if (!json)
        return verdict;
    const char *version = usable_version(call, cmk, json, &verdict);
    if (version)
        verdict = put_resolved(call, cmk, version);
    kt_json_free(json);
    return verdict;
}

static BIGNUM *number(const char *base64url)
{
    uint8_t bytes[1024];
    size_t nbytes;
    if (!base64url || !kt_base64_decode(kt_span_str(base64url), bytes, sizeof bytes, &nbytes))
        return NULL;
    return BN_bin2bn(bytes, (int)nbytes, NULL);
}

/* RFC 7518 section 6.3.1: n and e, big-endian in base64url. */
static EVP_PKEY *public_key(const bson_t *json)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = NULL;
    BIGNUM *n = number(kt_doc_text(json, "key.n")), *e = number(kt_doc_text(json, "key.e"));
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (n && e && builder && ctx && BN_num_bits(n) >= 2048 && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) &&
        (params = OSSL_PARAM_BLD_to_param(builder)) && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return key;
}

enum kt_verdict kt_azure_parse_key(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                   const struct kt_exchange *x, EVP_PKEY **key)
{
    enum kt_verdict verdict;
    *key = NULL;
    bson_t *json = reply_json(call, x, &verdict);
    if (!json)
        return verdict;
    if (usable_version(call, cmk, json, &verdict)) {
        *key = public_key(json);
        if (!*key)
            verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY,
                                     "the reply holds no RSA public key of 2,048 bits or more");
    }
    kt_json_free(json);
    return verdict;
}

enum kt_verdict kt_azure_build_versions(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                        const struct kt_token *token, const struct kt_secbuf *link,
                                        struct kt_exchange *x)
{
    int n = link->nbytes
                ? snprintf(x->url, sizeof x->url, "%s", (const char *)link->data)
                : snprintf(x->url, sizeof x->url, "https://%s/keys/%s/versions?" API, cmk->vault, cmk->name);
    return request(call, token, x, n);
}

/* The token must not follow a link to another host. */
static bool own_link(const struct kt_cmk *cmk, const char *link)
{
    size_t n = strlen(cmk->vault);
    if (strncmp(link, "https://", 8) != 0 || strncasecmp(link + 8, cmk->vault, n) != 0)
        return false;
    const char *rest = link + 8 + n;
    return *rest == '/' || (!strchr(cmk->vault, ':') && strncmp(rest, ":443/", 5) == 0);
}

/* Of an item of the list; NULL when it is of another key or disabled. */
static const char *listed_version(const struct kt_cmk *cmk, const bson_iter_t *item)
{
    bson_iter_t fields, kid, enabled;
    if (!BSON_ITER_HOLDS_DOCUMENT(item) || !bson_iter_recurse(item, &fields) ||
        !bson_iter_find_descendant(&fields, "kid", &kid) || !BSON_ITER_HOLDS_UTF8(&kid))
        return NULL;
    if (bson_iter_recurse(item, &fields) &&
        bson_iter_find_descendant(&fields, "attributes.enabled", &enabled) && !bson_iter_as_bool(&enabled))
        return NULL;
    return version_of(cmk, bson_iter_utf8(&kid, NULL));
}

enum kt_verdict kt_azure_parse_versions(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                        const struct kt_exchange *x, struct kt_secbuf *versions,
                                        struct kt_secbuf *link)
{
    enum kt_verdict verdict;
    bson_t *json = reply_json(call, x, &verdict);
    if (!json)
        return verdict;
    bson_iter_t it, item;
    if (bson_iter_init_find(&it, json, "value") && BSON_ITER_HOLDS_ARRAY(&it) &&
        bson_iter_recurse(&it, &item))
        while (bson_iter_next(&item)) {
            const char *version = listed_version(cmk, &item);
            if (version && versions->nbytes < VERSIONS_MAX)
                kt_secbuf_put(versions, version, strlen(version) + 1);
        }
    const char *next = kt_doc_text(json, "nextLink");
    kt_secbuf_reset(link);
    if (next && own_link(cmk, next) && versions->nbytes < VERSIONS_MAX) {
        kt_secbuf_put(link, next, strlen(next) + 1);
        verdict = KT_V_NEXT;
    }
    kt_json_free(json);
    return verdict;
}

enum kt_verdict kt_azure_wrap(struct kt_kms_call *call, EVP_PKEY *key)
{
    size_t nbytes = call->out_capacity;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = ctx && EVP_PKEY_encrypt_init(ctx) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
              EVP_PKEY_encrypt(ctx, call->out, &nbytes, call->in.data, call->in.nbytes) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!ok)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "OpenSSL cannot wrap with this public key");
    call->out_nbytes = (uint32_t)nbytes;
    return KT_V_DONE;
}

bool kt_azure_scope(const struct kt_cmk *cmk, char *out, size_t nbytes)
{
    size_t host = strcspn(cmk->vault, ":");
    const char *dot = memchr(cmk->vault, '.', host);
    int n = dot ? snprintf(out, nbytes, "https://%.*s/.default", (int)(cmk->vault + host - dot - 1), dot + 1)
                : -1;
    return n > 0 && (size_t)n < nbytes;
}
