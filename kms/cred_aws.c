/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/cred_aws.h"

#include <stdio.h>

static bool given_applies(struct kt_cred *cred)
{
    return kt_doc_text(&cred->document, "accessKeyId") != NULL;
}

static enum kt_verdict given_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                   struct kt_token *token)
{
    (void)x;
    const char *secret = kt_doc_text(&cred->document, "secretAccessKey");
    if (!secret)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "kmsProviders needs secretAccessKey");
    return kt_token_set_aws(token, kt_doc_text(&cred->document, "accessKeyId"), secret,
                            kt_doc_text(&cred->document, "sessionToken"))
               ? KT_V_DONE
               : kt_cred_no_memory(call);
}

static bool env_applies(struct kt_cred *cred)
{
    return kt_cred_env(cred, "AWS_ACCESS_KEY_ID") && kt_cred_env(cred, "AWS_SECRET_ACCESS_KEY");
}

static enum kt_verdict env_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token)
{
    (void)x;
    return kt_token_set_aws(token, kt_cred_env(cred, "AWS_ACCESS_KEY_ID"),
                            kt_cred_env(cred, "AWS_SECRET_ACCESS_KEY"),
                            kt_cred_env(cred, "AWS_SESSION_TOKEN"))
               ? KT_V_DONE
               : kt_cred_no_memory(call);
}

static bool web_identity_applies(struct kt_cred *cred)
{
    return kt_cred_env(cred, "AWS_WEB_IDENTITY_TOKEN_FILE") && kt_cred_env(cred, "AWS_ROLE_ARN");
}

static enum kt_verdict web_identity_build(struct kt_cred *cred, struct kt_kms_call *call,
                                          struct kt_exchange *x, struct kt_token *token)
{
    (void)token;
    return kt_sts_web_identity(cred, call, x, kt_cred_env(cred, "AWS_ROLE_ARN"),
                               kt_cred_env(cred, "AWS_ROLE_SESSION_NAME"),
                               kt_cred_env(cred, "AWS_WEB_IDENTITY_TOKEN_FILE"));
}

static bool container_applies(struct kt_cred *cred)
{
    return kt_cred_env(cred, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
           kt_cred_env(cred, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

/* A token must not travel in the clear but to this host's own services (AWS SDKs' rule). */
static bool trusted_uri(const char *uri)
{
    static const char *const hosts[] = {"127.0.0.1",     "localhost",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (strncmp(uri, "https://", 8) == 0)
        return true;
    if (strncmp(uri, "http://", 7) != 0)
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(uri + 7, hosts[i], n) == 0 && strchr(":/", uri[7 + n]))
            return true;
    }
    return false;
}

static enum kt_verdict container_authorise(struct kt_cred *cred, struct kt_kms_call *call,
                                           struct kt_exchange *x)
{
    const char *file = kt_cred_env(cred, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = kt_cred_env(cred, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (file) {
        if (!kt_cred_file(file, &cred->scratch))
            return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                                  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %.150s cannot be read", file);
        token = (const char *)cred->scratch.data;
    }
    if (token && strpbrk(token, "\r\n"))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "the container's authorization token has two lines");
    if (token)
        kt_exchange_header(x, "Authorization", token, NULL);
    return KT_V_SEND;
}

static enum kt_verdict container_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                       struct kt_token *token)
{
    (void)token;
    const char *relative = kt_cred_env(cred, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = kt_cred_env(cred, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    x->metadata = true;
    if (relative) {
        snprintf(x->url, sizeof x->url, "http://169.254.170.2%.1000s", relative);
        return KT_V_SEND;
    }
    if (!trusted_uri(full))
        return kt_verdict_say(
            call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or a loopback or container address");
    snprintf(x->url, sizeof x->url, "%.1000s", full);
    return container_authorise(cred, call, x);
}

enum kt_verdict kt_cred_aws_json(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token)
{
    enum kt_verdict verdict = kt_verdict_of_http(call, x);
    if (verdict != KT_V_DONE)
        return verdict;
    if (x->status != 200)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "the credential service answers with HTTP status %ld", x->status);
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    const char *key = json ? kt_doc_text(json, "AccessKeyId") : NULL;
    const char *secret = json ? kt_doc_text(json, "SecretAccessKey") : NULL;
    const char *expiration = json ? kt_doc_text(json, "Expiration") : NULL;
    int64_t expires_ms;
    if (!key || !secret || !expiration || !kt_cred_time(expiration, &expires_ms))
        verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY,
                                 "the credential service's reply holds no credentials");
    else if (!kt_token_set_aws(token, key, secret, kt_doc_text(json, "Token")))
        verdict = kt_cred_no_memory(call);
    else
        kt_token_lives(token, cred->now_ms, expires_ms - cred->now_ms);
    kt_json_free(json);
    return verdict;
}

static bool imds_applies(struct kt_cred *cred)
{
    const char *off = kt_cred_env(cred, "AWS_EC2_METADATA_DISABLED");
    return !off || strcmp(off, "true") != 0;
}

enum { IMDS_TOKEN, IMDS_ROLE, IMDS_KEYS };

/* scratch: the session token, then (from the second step on) the role, each with its NUL. */
static enum kt_verdict imds_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  struct kt_token *token)
{
    (void)call;
    (void)token;
    static const char path[] = "latest/meta-data/iam/security-credentials/";
    const char *given = kt_cred_env(cred, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *base = given ? given : "http://169.254.169.254";
    const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
    const char *session = (const char *)cred->scratch.data;
    x->metadata = true;
    if (cred->step == IMDS_TOKEN) {
        kt_secbuf_reset(&cred->scratch);
        x->method = KT_PUT;
        snprintf(x->url, sizeof x->url, "%.300s%slatest/api/token", base, slash);
        kt_exchange_header(x, "X-aws-ec2-metadata-token-ttl-seconds", "30", NULL);
        return KT_V_SEND;
    }
    snprintf(x->url, sizeof x->url, "%.300s%s%s%.500s", base, slash, path,
             cred->step == IMDS_KEYS ? session + strlen(session) + 1 : "");
    kt_exchange_header(x, "X-aws-ec2-metadata-token", session, NULL);
    return KT_V_SEND;
}

/* Keeps the first line of a plain-text reply. */
static bool keep_line(struct kt_cred *cred, const struct kt_exchange *x)
{
    size_t n = 0;
    while (n < x->reply.nbytes && x->reply.data[n] > ' ' && x->reply.data[n] < 0x7f)
        n++;
    if (n == 0 || n > 400)
        return false;
    kt_secbuf_put(&cred->scratch, x->reply.data, n);
    kt_secbuf_put(&cred->scratch, "", 1);
    cred->step++;
    return !cred->scratch.failed;
}

static enum kt_verdict imds_parse(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                  struct kt_token *token)
{
    if (cred->step == IMDS_KEYS || x->status != 200) {
        /* From whichever step: the next try begins with a new session, as this one may have ended (401). */
        bool ended = x->status == 401 && cred->step != IMDS_TOKEN;
        enum kt_verdict verdict = ended ? KT_V_FAULT : kt_cred_aws_json(cred, call, x, token);
        cred->step = IMDS_TOKEN;
        return verdict;
    }
    if (keep_line(cred, x))
        return KT_V_NEXT;
    cred->step = IMDS_TOKEN;
    return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                          "the instance metadata service names no role");
}

const struct kt_cred_source kt_cred_aws[] = {
    {"kmsProviders", true, false, given_applies, given_build, NULL},
    {"environment", false, false, env_applies, env_build, NULL},
    {"web identity", false, false, web_identity_applies, web_identity_build, kt_sts_parse},
    {"profile", false, true, kt_profile_applies, kt_profile_build, kt_sts_parse},
    {"container", false, false, container_applies, container_build, kt_cred_aws_json},
    {"instance metadata service", false, false, imds_applies, imds_build, imds_parse},
    {0},
};
