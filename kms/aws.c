/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws.h"

#include <ctype.h>
#include <stdio.h>

#include "kms/json.h"

static void body_of(struct kt_secbuf *body, const struct kt_kms_call *call, const struct kt_cmk *cmk)
{
    kt_secbuf_text(body, call->op == KT_KMS_WRAP ? "{\"Plaintext\":\"" : "{\"CiphertextBlob\":\"");
    kt_secbuf_base64(body, call->in);
    kt_secbuf_text(body, "\"");
    if (call->op != KT_KMS_UNWRAP) {
        kt_secbuf_text(body, call->op == KT_KMS_WRAP ? ",\"KeyId\":" : ",\"DestinationKeyId\":");
        kt_secbuf_json(body, cmk->key);
    }
    if (call->op == KT_KMS_REWRAP_DRYRUN)
        kt_secbuf_text(body, ",\"DryRun\":true");
    kt_secbuf_text(body, "}");
}

void kt_aws_sign(struct kt_exchange *x, const struct kt_token *token, const char *region, const char *service)
{
    snprintf(x->sigv4, sizeof x->sigv4, "aws:amz:%.50s:%.20s", region, service);
    x->sign_key = kt_token_first(token);
    x->sign_secret = kt_token_secret(token);
    if (kt_token_session(token))
        kt_exchange_header(x, "X-Amz-Security-Token", kt_token_session(token), NULL);
}

enum kt_verdict kt_aws_build(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_token *token,
                             struct kt_exchange *x)
{
    static const char *const targets[] = {[KT_KMS_UNWRAP] = "TrentService.Decrypt",
                                          [KT_KMS_WRAP] = "TrentService.Encrypt",
                                          [KT_KMS_REWRAP] = "TrentService.ReEncrypt",
                                          [KT_KMS_REWRAP_DRYRUN] = "TrentService.ReEncrypt"};
    char host[512];
    if (!kt_cmk_host(cmk, host, sizeof host))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the endpoint is too long");
    x->method = KT_POST;
    snprintf(x->url, sizeof x->url, "https://%s/", host);
    kt_exchange_header(x, "Content-Type", "application/x-amz-json-1.1", NULL);
    kt_exchange_header(x, "X-Amz-Target", targets[call->op], NULL);
    kt_aws_sign(x, token, cmk->region, "kms");
    body_of(&x->body, call, cmk);
    return KT_V_SEND;
}

static const struct {
    const char *name;
    enum kt_verdict verdict;
    enum kt_kms_reason reason;
} errors[] = {
    {"ThrottlingException", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"Throttling", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"ThrottledException", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"RequestThrottled", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"TooManyRequestsException", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"RequestLimitExceeded", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"SlowDown", KT_V_THROTTLED, KT_KMS_R_THROTTLED},
    {"ExpiredTokenException", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
    {"ExpiredToken", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
    {"TokenRefreshRequired", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
    {"InvalidClientTokenId", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
    {"UnrecognizedClientException", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
    {"InvalidIdentityToken", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS},
    {"SignatureDoesNotMatch", KT_V_FINAL, KT_KMS_R_CREDENTIALS},
    {"InvalidSignatureException", KT_V_FINAL, KT_KMS_R_CREDENTIALS},
    {"IncompleteSignature", KT_V_FINAL, KT_KMS_R_CREDENTIALS},
    {"MissingAuthenticationTokenException", KT_V_FINAL, KT_KMS_R_CREDENTIALS},
    {"RequestExpired", KT_V_FINAL, KT_KMS_R_CREDENTIALS},
    {"OptInRequired", KT_V_FINAL, KT_KMS_R_CREDENTIALS},
    {"AccessDeniedException", KT_V_FINAL, KT_KMS_R_DENIED},
    {"AccessDenied", KT_V_FINAL, KT_KMS_R_DENIED},
    {"NotFoundException", KT_V_FINAL, KT_KMS_R_MISSING},
    {"InvalidArnException", KT_V_FINAL, KT_KMS_R_MISSING},
    {"DisabledException", KT_V_FINAL, KT_KMS_R_DISABLED},
    {"KMSInvalidStateException", KT_V_FINAL, KT_KMS_R_DISABLED},
    {"InvalidKeyUsageException", KT_V_FINAL, KT_KMS_R_DISABLED},
    {"InvalidCiphertextException", KT_V_FINAL, KT_KMS_R_CIPHERTEXT},
    {"IncorrectKeyException", KT_V_FINAL, KT_KMS_R_CIPHERTEXT},
    {"ValidationException", KT_V_FINAL, KT_KMS_R_CONFIG},
    {"UnsupportedOperationException", KT_V_FINAL, KT_KMS_R_CONFIG},
    {"KeyUnavailableException", KT_V_FAULT, KT_KMS_R_NETWORK},
    {"DependencyTimeoutException", KT_V_FAULT, KT_KMS_R_NETWORK},
    {"KMSInternalException", KT_V_FAULT, KT_KMS_R_NETWORK},
    {"InternalFailure", KT_V_FAULT, KT_KMS_R_NETWORK},
    {"InternalError", KT_V_FAULT, KT_KMS_R_NETWORK},
    {"ServiceUnavailable", KT_V_FAULT, KT_KMS_R_NETWORK},
    {"IDPCommunicationError", KT_V_FAULT, KT_KMS_R_NETWORK},
};

bool kt_aws_classify(const char *error, enum kt_verdict *verdict, enum kt_kms_reason *reason)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(error, errors[i].name) == 0) {
            *verdict = errors[i].verdict;
            *reason = errors[i].reason;
            return true;
        }
    return false;
}

/* "com.amazonaws.kms#DisabledException:http://..." -> "DisabledException" */
static void bare_name(const char *type, char *out, size_t nbytes)
{
    const char *hash = strchr(type, '#');
    snprintf(out, nbytes, "%s", hash ? hash + 1 : type);
    out[strcspn(out, ":")] = 0;
}

/* Gateways before KMS, and STS, answer in XML. */
static void xml_text(struct kt_span xml, const char *open, char *out, size_t nbytes)
{
    const uint8_t *at = memmem(xml.data, xml.nbytes, open, strlen(open));
    size_t n = 0;
    if (at)
        for (at += strlen(open); at < xml.data + xml.nbytes && *at != '<' && n + 1 < nbytes; at++)
            out[n++] = (char)*at;
    out[n] = 0;
}

static enum kt_verdict judge_error(struct kt_kms_call *call, const struct kt_exchange *x)
{
    char name[100] = "", message[200] = "";
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    if (json) {
        bare_name(kt_doc_text_or_empty(json, "__type"), name, sizeof name);
        const char *text = kt_doc_text(json, "message");
        snprintf(message, sizeof message, "%s", text ? text : kt_doc_text_or_empty(json, "Message"));
        kt_json_free(json);
    } else if (x->reply.nbytes) {
        xml_text(kt_secbuf_get(&x->reply), "<Code>", name, sizeof name);
        xml_text(kt_secbuf_get(&x->reply), "<Message>", message, sizeof message);
    }
    if (strcmp(name, "DryRunOperationException") == 0 && call->op == KT_KMS_REWRAP_DRYRUN)
        return KT_V_DONE;
    enum kt_verdict verdict;
    enum kt_kms_reason reason;
    if (kt_aws_classify(name, &verdict, &reason))
        return kt_verdict_say(call, verdict, reason, "%s: %s", name, message);
    verdict = kt_verdict_of_http(call, x);
    if (verdict != KT_V_DONE)
        return verdict;
    if (x->status == 401 || x->status == 403)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_DENIED, "HTTP status %ld %s: %s", x->status, name,
                              message);
    /* An error without a name comes from no KMS. */
    return kt_verdict_say(call, *name ? KT_V_FINAL : KT_V_FAULT, *name ? KT_KMS_R_CONFIG : KT_KMS_R_REPLY,
                          "HTTP status %ld %s: %s", x->status, *name ? name : "with an unreadable reply",
                          message);
}

static bool is_key_id(const char *text)
{
    size_t n = strlen(text);
    if (n == 36 || strncmp(text, "mrk-", 4) == 0) {
        for (; *text; text++)
            if (!isxdigit((unsigned char)*text) && *text != '-' && !strchr("mrk", *text))
                return false;
        return true;
    }
    return false;
}

/* Whether the ARN in a reply can be the key that a masterKey names: an alias names any. */
static bool same_key(const char *wanted, const char *arn)
{
    if (!arn)
        return false;
    if (strncmp(wanted, "arn:", 4) == 0)
        return strstr(wanted, ":alias/") || strcmp(wanted, arn) == 0;
    if (!is_key_id(wanted))
        return true;
    const char *slash = strrchr(arn, '/');
    return strcmp(wanted, slash ? slash + 1 : arn) == 0;
}

static bool symmetric(const bson_t *json, const char *field)
{
    const char *algorithm = kt_doc_text(json, field);
    return !algorithm || strcmp(algorithm, "SYMMETRIC_DEFAULT") == 0;
}

static bool reply_fits(const struct kt_kms_call *call, const struct kt_cmk *cmk, const bson_t *json)
{
    if (!same_key(cmk->key, kt_doc_text(json, "KeyId")))
        return false;
    if (call->op == KT_KMS_UNWRAP || call->op == KT_KMS_WRAP)
        return symmetric(json, "EncryptionAlgorithm");
    struct kt_cmk source;
    return kt_cmk_parse(KT_KMS_AWS, call->source, &source, NULL) == KT_OK &&
           same_key(source.key, kt_doc_text(json, "SourceKeyId")) &&
           symmetric(json, "SourceEncryptionAlgorithm") && symmetric(json, "DestinationEncryptionAlgorithm");
}

static enum kt_verdict judge_success(struct kt_kms_call *call, const struct kt_cmk *cmk, const bson_t *json)
{
    const char *result = kt_doc_text(json, call->op == KT_KMS_UNWRAP ? "Plaintext" : "CiphertextBlob");
    if (!result)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply lacks its result");
    if (!reply_fits(call, cmk, json))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY,
                              "the reply is for another key or algorithm (%s)",
                              kt_doc_text_or_empty(json, "KeyId"));
    return kt_verdict_result(call, kt_span_str(result));
}

enum kt_verdict kt_aws_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_exchange *x)
{
    if (x->status == 0)
        return kt_verdict_of_http(call, x);
    if (x->status != 200)
        return judge_error(call, x);
    if (call->op == KT_KMS_REWRAP_DRYRUN)
        return KT_V_DONE;
    bson_t *json = kt_json_parse(kt_secbuf_get(&x->reply));
    if (!json)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply is no JSON object");
    enum kt_verdict verdict = judge_success(call, cmk, json);
    kt_json_free(json);
    return verdict;
}
