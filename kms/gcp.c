/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/gcp.h"

#include <stdio.h>

#include "kms/json.h"

static void resource(const struct kt_cmk *cmk, char *out, size_t nbytes)
{
    snprintf(out, nbytes, "projects/%s/locations/%s/keyRings/%s/cryptoKeys/%s", cmk->project, cmk->location,
             cmk->ring, cmk->gcp_key);
}

enum kt_verdict kt_gcp_build(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_token *token,
                             struct kt_exchange *x)
{
    char host[512], key[900];
    bool wrap = call->op == KT_KMS_WRAP, versioned = wrap && cmk->version;
    if (!kt_cmk_host(cmk, host, sizeof host))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the endpoint is too long");
    resource(cmk, key, sizeof key);
    x->method = KT_POST;
    /* A version may only be named to encrypt; the ciphertext knows its own. */
    int n = snprintf(x->url, sizeof x->url, "https://%s/v1/%s%s%s:%s", host, key,
                     versioned ? "/cryptoKeyVersions/" : "", versioned ? cmk->version : "",
                     wrap ? "encrypt" : "decrypt");
    if (n < 0 || (size_t)n >= sizeof x->url)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the key's name is too long");
    kt_exchange_header(x, "Content-Type", "application/json", NULL);
    kt_exchange_header(x, "Authorization", "Bearer ", kt_token_first(token), NULL);
    kt_secbuf_text(&x->body, wrap ? "{\"plaintext\":\"" : "{\"ciphertext\":\"");
    kt_secbuf_base64(&x->body, call->in);
    kt_secbuf_text(&x->body, "\"}");
    return KT_V_SEND;
}

static enum kt_verdict judge_error(struct kt_kms_call *call, const struct kt_exchange *x)
{
    static const struct {
        const char *status;
        enum kt_verdict verdict;
        enum kt_kms_reason reason;
    } errors[] = {
        {"RESOURCE_EXHAUSTED", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
        {"UNAUTHENTICATED", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
        {"PERMISSION_DENIED", KT_V_FINAL, KT_KMS_R_DENIED},
        {"NOT_FOUND", KT_V_FINAL, KT_KMS_R_MISSING},
        {"FAILED_PRECONDITION", KT_V_FINAL, KT_KMS_R_DISABLED},
    };
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    char status[60] = "", message[200] = "";
    if (json) {
        snprintf(status, sizeof status, "%s", kt_doc_text_or_empty(json, "error.status"));
        snprintf(message, sizeof message, "%s", kt_doc_text_or_empty(json, "error.message"));
        kt_json_free(json);
    }
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(status, errors[i].status) == 0)
            return kt_verdict_say(call, errors[i].verdict, errors[i].reason, "%s: %s", status, message);
    enum kt_verdict verdict = kt_verdict_of_http(call, x);
    if (verdict != KT_V_DONE)
        return verdict;
    if (x->status == 401)
        return kt_verdict_say(call, KT_V_EXPIRED, KT_KMS_R_CREDENTIALS, "the access token is not accepted");
    if (x->status == 403)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DENIED, "HTTP status 403 %s", message);
    if (x->status == 404 && *message)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_MISSING, "HTTP status 404 %s", message);
    if (strcmp(status, "INVALID_ARGUMENT") == 0)
        return kt_verdict_say(call, KT_V_FINAL,
                              call->op == KT_KMS_UNWRAP ? KT_KMS_R_CIPHERTEXT : KT_KMS_R_CONFIG, "%s: %s",
                              status, message);
    return kt_verdict_say(call, *status ? KT_V_FINAL : KT_V_FAULT, *status ? KT_KMS_R_CONFIG : KT_KMS_R_REPLY,
                          "HTTP status %ld %s: %s", x->status, *status ? status : "with an unreadable reply",
                          message);
}

/* "name" of an encrypt reply is the version that was used, below the key that was asked. */
static bool same_key(const struct kt_cmk *cmk, const char *name)
{
    char key[900];
    resource(cmk, key, sizeof key);
    size_t n = strlen(key);
    if (strncmp(name, key, n) != 0 || (name[n] && name[n] != '/'))
        return false;
    const char *slash = strrchr(name, '/');
    return !cmk->version || !name[n] || strcmp(slash + 1, cmk->version) == 0;
}

enum kt_verdict kt_gcp_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_exchange *x)
{
    if (x->status == 0)
        return kt_verdict_of_http(call, x);
    if (x->status != 200)
        return judge_error(call, x);
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    if (!json)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is no JSON object");
    enum kt_verdict verdict;
    const char *result = kt_doc_text(json, call->op == KT_KMS_WRAP ? "ciphertext" : "plaintext");
    const char *name = kt_doc_text(json, "name");
    if (!result)
        verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply lacks its result");
    else if (call->op == KT_KMS_WRAP && (!name || !same_key(cmk, name)))
        verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is for another key (%s)",
                                 name ? name : "");
    else
        verdict = kt_verdict_result(call, kt_span_str(result));
    kt_json_free(json);
    return verdict;
}

bool kt_gcp_scope(const struct kt_cmk *cmk, char *out, size_t nbytes)
{
    char host[512];
    if (!kt_cmk_host(cmk, host, sizeof host))
        return false;
    /* The domain is the host without its first label, as libmongocrypt has it; "googleapis.com" by default.
     */
    const char *dot = cmk->endpoint ? strchr(host, '.') : NULL;
    int n = snprintf(out, nbytes, "https://www.%s/auth/cloudkms", dot ? dot + 1 : "googleapis.com");
    return n > 0 && (size_t)n < nbytes;
}
