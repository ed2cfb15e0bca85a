/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/credentials.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 10)

const struct kt_cred_source *kt_cred_choose(struct kt_cred *cred)
{
    const struct kt_cred_source *chain = cred->kms == KT_KMS_AWS     ? kt_cred_aws
                                         : cred->kms == KT_KMS_AZURE ? kt_cred_azure
                                                                     : kt_cred_gcp;
    cred->step = 0;
    kt_secbuf_reset(&cred->scratch);
    for (; chain->name; chain++)
        if (chain->applies(cred))
            return cred->source = chain;
    return cred->source = NULL;
}

const char *kt_cred_missing_text(enum kt_kms kms)
{
    switch (kms) {
    case KT_KMS_AWS:
        return "no credentials in kmsProviders, AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, the profile "
               "files, "
               "AWS_CONTAINER_CREDENTIALS_*_URI or the instance metadata service";
    case KT_KMS_AZURE:
        return "no credentials in kmsProviders, AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_SECRET or the "
               "managed "
               "identity service";
    default:
        return "no credentials in kmsProviders, GOOGLE_APPLICATION_CREDENTIALS or the metadata server";
    }
}

bool kt_cred_token_applies(struct kt_cred *cred)
{
    return kt_doc_text(&cred->document, "accessToken") != NULL;
}

enum kt_verdict kt_cred_token_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                    struct kt_token *token)
{
    (void)x;
    return kt_token_set_bearer(token, kt_doc_text(&cred->document, "accessToken")) ? KT_V_DONE
                                                                                   : kt_cred_no_memory(call);
}

const char *kt_cred_env(const struct kt_cred *cred, const char *name)
{
    const char *value = cred->env(name);
    return value && *value ? value : NULL;
}

bool kt_cred_file(const char *path, struct kt_secbuf *out)
{
    kt_secbuf_reset(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = 0;
    while (out->nbytes < FILE_MAX && kt_secbuf_reserve(out, 1024) &&
           (n = read(fd, out->data + out->nbytes, 1024)) > 0)
        out->nbytes += (size_t)n;
    close(fd);
    if (n != 0 || out->failed)
        return false;
    while (out->nbytes && strchr(" \t\r\n", out->data[out->nbytes - 1]))
        out->nbytes--;
    if (!kt_secbuf_reserve(out, 1))
        return false;
    out->data[out->nbytes] = 0;
    return out->nbytes > 0 && strlen((const char *)out->data) == out->nbytes;
}

bool kt_cred_time(const char *text, int64_t *utc_ms)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end || (*end != 'Z' && *end != '.' && *end != '+'))
        return false;
    *utc_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

enum kt_verdict kt_cred_address(const struct kt_cred *cred, struct kt_kms_call *call, const char *field,
                                const char *otherwise, char *out, size_t nbytes)
{
    struct kt_span host;
    *out = 0;
    if (!kt_doc_host(&cred->document, field, &host))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "%s of kmsProviders is no host[:port]",
                              field);
    if (host.nbytes == 0)
        host = kt_span_str(otherwise);
    snprintf(out, nbytes, "https://%.*s", (int)host.nbytes, (const char *)host.data);
    return KT_V_SEND;
}

enum kt_verdict kt_cred_form(struct kt_kms_call *call, struct kt_exchange *x, const char *scheme_and_host,
                             const char *path)
{
    x->method = KT_POST;
    int n = snprintf(x->url, sizeof x->url, "%s%s", scheme_and_host, path);
    if (n < 0 || (size_t)n >= sizeof x->url)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the token endpoint's address is too long");
    kt_exchange_header(x, "Content-Type", "application/x-www-form-urlencoded", NULL);
    kt_exchange_header(x, "Accept", "application/json", NULL);
    return KT_V_SEND;
}

void kt_cred_field(struct kt_exchange *x, const char *name, const char *value)
{
    if (x->body.nbytes)
        kt_secbuf_text(&x->body, "&");
    kt_secbuf_text(&x->body, name);
    kt_secbuf_text(&x->body, "=");
    kt_secbuf_form(&x->body, value);
}

enum kt_verdict kt_cred_no_memory(struct kt_kms_call *call)
{
    return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK, "locked memory ran out");
}

static enum kt_verdict judge_refusal(struct kt_kms_call *call, struct kt_exchange *x, const bson_t *json)
{
    enum kt_verdict verdict = kt_verdict_of_http(call, x);
    if (verdict != KT_V_DONE)
        return verdict;
    const char *error = json ? kt_doc_text_or_empty(json, "error") : "";
    if (strcmp(error, "temporarily_unavailable") == 0)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK,
                              "the token endpoint is temporarily unavailable");
    return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                          "the token endpoint refuses: HTTP status %ld %s %.150s", x->status, error,
                          json ? kt_doc_text_or_empty(json, "error_description") : "");
}

enum kt_verdict kt_cred_oauth_reply(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                    struct kt_token *token)
{
    bson_t *json = x->status ? kt_json_parse(kt_secbuf_get(&x->reply)) : NULL;
    enum kt_verdict verdict = KT_V_DONE;
    int64_t seconds = 0;
    const char *bearer = json ? kt_doc_text(json, "access_token") : NULL;
    if (x->status != 200)
        verdict = judge_refusal(call, x, json);
    else if (!bearer || !kt_doc_number(json, "expires_in", &seconds) || seconds <= 0 || seconds > 366 * 86400)
        verdict =
            kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the token endpoint's reply holds no token");
    else if (strpbrk(bearer, "\r\n"))
        verdict =
            kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the token endpoint's token is no header value");
    else if (!kt_token_set_bearer(token, bearer))
        verdict = kt_cred_no_memory(call);
    else
        kt_token_lives(token, cred->now_ms, seconds * 1000);
    kt_json_free(json);
    return verdict;
}
