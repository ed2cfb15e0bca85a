/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "kms/credentials.h"
#include "kms/jwt.h"

#define LIFETIME_S 300 /* as libmongocrypt's */

/* grant_type and assertion. aud is the token endpoint itself. */
static enum kt_verdict build_grant(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                   const char *endpoint, const char *email, EVP_PKEY *key)
{
    struct kt_jwt_claims claims = {email, endpoint, cred->audience, NULL, cred->now_ms / 1000, LIFETIME_S};
    enum kt_verdict verdict = kt_cred_form(call, x, endpoint, "");
    kt_cred_field(x, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    kt_secbuf_text(&x->body, "&assertion=");
    if (!kt_jwt_sign(&x->body, &claims, key))
        verdict = kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG,
                                 "the service account's private key cannot sign RS256");
    return verdict;
}

static bool given_account_applies(struct kt_cred *cred)
{
    return kt_doc_text(&cred->document, "email") != NULL;
}

static EVP_PKEY *given_key(struct kt_cred *cred)
{
    bson_iter_t it;
    const uint8_t *bytes;
    uint32_t nbytes;
    bson_subtype_t subtype;
    const char *text = kt_doc_text(&cred->document, "privateKey");
    if (text)
        return kt_jwt_key(kt_span_str(text), cred->scratch.pool);
    if (!bson_iter_init_find(&it, &cred->document, "privateKey") || !BSON_ITER_HOLDS_BINARY(&it))
        return NULL;
    bson_iter_binary(&it, &subtype, &nbytes, &bytes);
    return kt_jwt_key(kt_span_of(bytes, nbytes), cred->scratch.pool);
}

static enum kt_verdict given_account_build(struct kt_cred *cred, struct kt_kms_call *call,
                                           struct kt_exchange *x, struct kt_token *token)
{
    (void)token;
    char base[420], url[500];
    EVP_PKEY *key = given_key(cred);
    if (!key)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG,
                              "privateKey is no RSA key in PKCS#8 (base64 or binary DER)");
    enum kt_verdict verdict =
        kt_cred_address(cred, call, "endpoint", "oauth2.googleapis.com", base, sizeof base);
    snprintf(url, sizeof url, "%s/token", base);
    if (verdict == KT_V_SEND)
        verdict = build_grant(cred, call, x, url, kt_doc_text(&cred->document, "email"), key);
    EVP_PKEY_free(key);
    return verdict;
}

static bool file_applies(struct kt_cred *cred)
{
    return kt_cred_env(cred, "GOOGLE_APPLICATION_CREDENTIALS") != NULL;
}

static enum kt_verdict build_user(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  const bson_t *json)
{
    (void)cred;
    enum kt_verdict verdict = kt_cred_form(call, x, "https://oauth2.googleapis.com", "/token");
    kt_cred_field(x, "grant_type", "refresh_token");
    kt_cred_field(x, "client_id", kt_doc_text_or_empty(json, "client_id"));
    kt_cred_field(x, "client_secret", kt_doc_text_or_empty(json, "client_secret"));
    kt_cred_field(x, "refresh_token", kt_doc_text_or_empty(json, "refresh_token"));
    return verdict;
}

static enum kt_verdict build_from_file(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                       const bson_t *json)
{
    const char *type = kt_doc_text_or_empty(json, "type");
    if (strcmp(type, "authorized_user") == 0)
        return build_user(cred, call, x, json);
    const char *email = kt_doc_text(json, "client_email"), *pem = kt_doc_text(json, "private_key");
    const char *uri = kt_doc_text(json, "token_uri");
    if (strcmp(type, "service_account") != 0 || !email || !pem)
        return kt_verdict_say(
            call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
            "GOOGLE_APPLICATION_CREDENTIALS must be of type service_account or authorized_user, "
            "with client_email and private_key");
    EVP_PKEY *key = kt_jwt_key(kt_span_str(pem), cred->scratch.pool);
    if (!key)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "private_key in GOOGLE_APPLICATION_CREDENTIALS is no private key");
    enum kt_verdict verdict =
        build_grant(cred, call, x, uri ? uri : "https://oauth2.googleapis.com/token", email, key);
    EVP_PKEY_free(key);
    return verdict;
}

static enum kt_verdict file_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  struct kt_token *token)
{
    (void)token;
    const char *path = kt_cred_env(cred, "GOOGLE_APPLICATION_CREDENTIALS");
    bson_t *json = kt_cred_file(path, &cred->scratch) ? kt_json_parse(kt_secbuf_get(&cred->scratch)) : NULL;
    kt_secbuf_reset(&cred->scratch);
    if (!json)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "GOOGLE_APPLICATION_CREDENTIALS: %.150s cannot be read or is no JSON", path);
    enum kt_verdict verdict = build_from_file(cred, call, x, json);
    kt_json_free(json);
    return verdict;
}

static bool metadata_applies(struct kt_cred *cred)
{
    (void)cred;
    return true;
}

static enum kt_verdict metadata_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                      struct kt_token *token)
{
    (void)call;
    (void)token;
    const char *host = kt_cred_env(cred, "GCE_METADATA_HOST");
    x->metadata = true;
    snprintf(x->url, sizeof x->url,
             "http://%.200s/computeMetadata/v1/instance/service-accounts/default/token",
             host ? host : "metadata.google.internal");
    kt_exchange_header(x, "Metadata-Flavor", "Google", NULL);
    return KT_V_SEND;
}

const struct kt_cred_source kt_cred_gcp[] = {
    {"accessToken of kmsProviders", true, false, kt_cred_token_applies, kt_cred_token_build, NULL},
    {"service account of kmsProviders", true, false, given_account_applies, given_account_build,
     kt_cred_oauth_reply},
    {"GOOGLE_APPLICATION_CREDENTIALS", false, false, file_applies, file_build, kt_cred_oauth_reply},
    {"metadata server", false, false, metadata_applies, metadata_build, kt_cred_oauth_reply},
    {0},
};
