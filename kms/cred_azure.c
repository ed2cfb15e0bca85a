/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "kms/credentials.h"

/* The form of the identity platform's token endpoint, without the part that proves who asks. */
static enum kt_verdict begin_form(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  const char *authority, const char *tenant, const char *client)
{
    char path[300];
    snprintf(path, sizeof path, "/%.200s/oauth2/v2.0/token", tenant);
    if (strspn(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != strlen(tenant))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG,
                              "the tenant id has characters that cannot stand there");
    enum kt_verdict verdict = kt_cred_form(call, x, authority, path);
    kt_cred_field(x, "client_id", client);
    kt_cred_field(x, "scope", cred->audience);
    kt_cred_field(x, "grant_type", "client_credentials");
    return verdict;
}

static bool given_secret_applies(struct kt_cred *cred)
{
    return kt_doc_text(&cred->document, "clientSecret") != NULL;
}

static enum kt_verdict given_secret_build(struct kt_cred *cred, struct kt_kms_call *call,
                                          struct kt_exchange *x, struct kt_token *token)
{
    (void)token;
    char authority[420];
    const char *tenant = kt_doc_text(&cred->document, "tenantId"),
               *client = kt_doc_text(&cred->document, "clientId");
    if (!tenant || !client)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "kmsProviders needs tenantId and clientId");
    enum kt_verdict verdict = kt_cred_address(cred, call, "identityPlatformEndpoint",
                                              "login.microsoftonline.com", authority, sizeof authority);
    if (verdict != KT_V_SEND)
        return verdict;
    verdict = begin_form(cred, call, x, authority, tenant, client);
    kt_cred_field(x, "client_secret", kt_doc_text(&cred->document, "clientSecret"));
    return verdict;
}

/* AZURE_AUTHORITY_HOST names a sovereign cloud, with or without a final slash. */
static void env_authority(const struct kt_cred *cred, char *out, size_t nbytes)
{
    const char *host = kt_cred_env(cred, "AZURE_AUTHORITY_HOST");
    const char *scheme = host && strstr(host, "://") ? "" : "https://";
    snprintf(out, nbytes, "%s%s", scheme, host ? host : "login.microsoftonline.com");
    size_t n = strlen(out);
    if (n && out[n - 1] == '/')
        out[n - 1] = 0;
}

static bool env_identity(const struct kt_cred *cred)
{
    return kt_cred_env(cred, "AZURE_CLIENT_ID") && kt_cred_env(cred, "AZURE_TENANT_ID");
}

static bool workload_applies(struct kt_cred *cred)
{
    return env_identity(cred) && kt_cred_env(cred, "AZURE_FEDERATED_TOKEN_FILE");
}

static enum kt_verdict workload_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                      struct kt_token *token)
{
    (void)token;
    char authority[420];
    const char *path = kt_cred_env(cred, "AZURE_FEDERATED_TOKEN_FILE");
    if (!kt_cred_file(path, &cred->scratch))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "AZURE_FEDERATED_TOKEN_FILE: %.150s cannot be read", path);
    env_authority(cred, authority, sizeof authority);
    enum kt_verdict verdict = begin_form(cred, call, x, authority, kt_cred_env(cred, "AZURE_TENANT_ID"),
                                         kt_cred_env(cred, "AZURE_CLIENT_ID"));
    kt_cred_field(x, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    kt_cred_field(x, "client_assertion", (const char *)cred->scratch.data);
    kt_secbuf_reset(&cred->scratch);
    return verdict;
}

static bool env_secret_applies(struct kt_cred *cred)
{
    return env_identity(cred) && kt_cred_env(cred, "AZURE_CLIENT_SECRET");
}

static enum kt_verdict env_secret_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                        struct kt_token *token)
{
    (void)token;
    char authority[420];
    env_authority(cred, authority, sizeof authority);
    enum kt_verdict verdict = begin_form(cred, call, x, authority, kt_cred_env(cred, "AZURE_TENANT_ID"),
                                         kt_cred_env(cred, "AZURE_CLIENT_ID"));
    kt_cred_field(x, "client_secret", kt_cred_env(cred, "AZURE_CLIENT_SECRET"));
    return verdict;
}

static void put_resource(struct kt_cred *cred, struct kt_exchange *x, const char *base, const char *version)
{
    char resource[300];
    const char *end = strstr(cred->audience, "/.default"), *client = kt_cred_env(cred, "AZURE_CLIENT_ID");
    snprintf(resource, sizeof resource, "%.*s", (int)(end ? end - cred->audience : 0), cred->audience);
    kt_secbuf_reset(&cred->scratch);
    kt_secbuf_form(&cred->scratch, resource);
    if (client) {
        kt_secbuf_text(&cred->scratch, "&client_id=");
        kt_secbuf_form(&cred->scratch, client);
    }
    struct kt_span query = kt_secbuf_get(&cred->scratch);
    snprintf(x->url, sizeof x->url, "%.300s?api-version=%s&resource=%.*s", base, version, (int)query.nbytes,
             (const char *)query.data);
    x->metadata = true;
}

/* App Service, Functions, Container Apps. */
static bool app_applies(struct kt_cred *cred)
{
    return kt_cred_env(cred, "IDENTITY_ENDPOINT") && kt_cred_env(cred, "IDENTITY_HEADER");
}

static enum kt_verdict app_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token)
{
    (void)call;
    (void)token;
    put_resource(cred, x, kt_cred_env(cred, "IDENTITY_ENDPOINT"), "2019-08-01");
    kt_exchange_header(x, "X-IDENTITY-HEADER", kt_cred_env(cred, "IDENTITY_HEADER"), NULL);
    return KT_V_SEND;
}

#define LIFETIME_MAX_S (366 * 86400)

static bool credible_end(const struct kt_cred *cred, int64_t expires_on)
{
    return expires_on > 0 && expires_on - cred->now_ms / 1000 <= LIFETIME_MAX_S;
}

static enum kt_verdict app_parse(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token)
{
    /* This service names the time of expiry instead of a lifetime. */
    bson_t *json = x->status == 200 ? kt_json_parse(kt_secbuf_get(&x->reply)) : NULL;
    int64_t expires_on;
    const char *bearer = json ? kt_doc_text(json, "access_token") : NULL;
    enum kt_verdict verdict = KT_V_DONE;
    if (bearer && kt_doc_number(json, "expires_on", &expires_on) && !strpbrk(bearer, "\r\n")) {
        if (!credible_end(cred, expires_on))
            verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY,
                                     "the managed identity service names no credible time of expiry");
        else if (!kt_token_set_bearer(token, bearer))
            verdict = kt_cred_no_memory(call);
        else
            kt_token_lives(token, cred->now_ms, expires_on * 1000 - cred->now_ms);
    } else {
        verdict = kt_cred_oauth_reply(cred, call, x, token);
    }
    kt_json_free(json);
    return verdict;
}

static bool imds_applies(struct kt_cred *cred)
{
    (void)cred;
    return true;
}

static enum kt_verdict imds_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  struct kt_token *token)
{
    (void)call;
    (void)token;
    char base[420];
    const char *host = kt_cred_env(cred, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
    snprintf(base, sizeof base, "%.300s/metadata/identity/oauth2/token",
             host ? host : "http://169.254.169.254");
    put_resource(cred, x, base, "2018-02-01");
    kt_exchange_header(x, "Metadata", "true", NULL);
    return KT_V_SEND;
}

/* Microsoft's guidance: 404 and 410 while the service is being updated, which takes about a minute. */
static enum kt_verdict imds_parse(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  struct kt_token *token)
{
    if (x->status == 404 || x->status == 410)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK, "HTTP status %ld", x->status);
    return kt_cred_oauth_reply(cred, call, x, token);
}

const struct kt_cred_source kt_cred_azure[] = {
    {"accessToken of kmsProviders", true, false, kt_cred_token_applies, kt_cred_token_build, NULL},
    {"clientSecret of kmsProviders", true, false, given_secret_applies, given_secret_build,
     kt_cred_oauth_reply},
    {"AZURE_FEDERATED_TOKEN_FILE", false, false, workload_applies, workload_build, kt_cred_oauth_reply},
    {"AZURE_CLIENT_SECRET", false, false, env_secret_applies, env_secret_build, kt_cred_oauth_reply},
    {"IDENTITY_ENDPOINT", false, false, app_applies, app_build, app_parse},
    {"instance metadata service", false, false, imds_applies, imds_build, imds_parse},
    {0},
};
