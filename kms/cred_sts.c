/* SPDX-License-Identifier: Apache-2.0 */
/* AWS STS 2011-06-15: roles. Its replies are XML. */
#include <stdio.h>

#include "kms/aws.h"
#include "kms/cred_aws.h"

static const char *region_of(const struct kt_cred *cred)
{
    const char *region = kt_cred_env(cred, "AWS_REGION");
    return region ? region : kt_cred_env(cred, "AWS_DEFAULT_REGION");
}

static void endpoint(const struct kt_cred *cred, char *out, size_t nbytes)
{
    const char *given = kt_cred_env(cred, "AWS_ENDPOINT_URL_STS"), *region = region_of(cred);
    const char *regional = kt_cred_env(cred, "AWS_STS_REGIONAL_ENDPOINTS");
    if (given)
        snprintf(out, nbytes, "%s", given);
    else if (region && (!regional || strcmp(regional, "legacy") != 0))
        snprintf(out, nbytes, "https://sts.%.60s.amazonaws.com%s", region,
                 strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    else
        snprintf(out, nbytes, "https://sts.amazonaws.com");
}

static enum kt_verdict begin(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                             const char *action, const char *role_arn, const char *session)
{
    char url[420];
    endpoint(cred, url, sizeof url);
    size_t n = strlen(url);
    enum kt_verdict verdict = kt_cred_form(call, x, url, n && url[n - 1] == '/' ? "" : "/");
    kt_cred_field(x, "Action", action);
    kt_cred_field(x, "Version", "2011-06-15");
    kt_cred_field(x, "RoleArn", role_arn);
    kt_cred_field(x, "RoleSessionName", session && *session ? session : "keyturn");
    return verdict;
}

enum kt_verdict kt_sts_web_identity(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                    const char *role_arn, const char *session, const char *token_file)
{
    if (!kt_cred_file(token_file, &cred->scratch))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "the web identity token %.150s cannot be read", token_file);
    enum kt_verdict verdict = begin(cred, call, x, "AssumeRoleWithWebIdentity", role_arn, session);
    kt_cred_field(x, "WebIdentityToken", (const char *)cred->scratch.data);
    kt_secbuf_reset(&cred->scratch);
    return verdict;
}

enum kt_verdict kt_sts_assume(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                              const char *role_arn, const char *session, const char *external_id,
                              const struct kt_token *signer)
{
    const char *region = region_of(cred);
    enum kt_verdict verdict = begin(cred, call, x, "AssumeRole", role_arn, session);
    if (external_id)
        kt_cred_field(x, "ExternalId", external_id);
    kt_aws_sign(x, signer, region ? region : "us-east-1", "sts");
    return verdict;
}

/* The text of the first element of a name, NUL-terminated in out. */
static bool element(struct kt_span xml, const char *name, struct kt_secbuf *out)
{
    char open[40];
    snprintf(open, sizeof open, "<%s>", name);
    const uint8_t *at = memmem(xml.data, xml.nbytes, open, strlen(open));
    if (!at)
        return false;
    at += strlen(open);
    const uint8_t *end = memchr(at, '<', (size_t)(xml.data + xml.nbytes - at));
    if (!end || end == at || memchr(at, 0, (size_t)(end - at)))
        return false;
    kt_secbuf_put(out, at, (size_t)(end - at));
    kt_secbuf_put(out, "", 1);
    return !out->failed;
}

static enum kt_verdict judge_refusal(struct kt_kms_call *call, struct kt_exchange *x,
                                     struct kt_secbuf *scratch)
{
    enum kt_verdict verdict;
    enum kt_kms_reason reason;
    struct kt_span xml = kt_secbuf_get(&x->reply);
    bool named = xml.data && element(xml, "Code", scratch);
    const char *code = named ? (const char *)scratch->data : "";
    if (named && kt_aws_classify(code, &verdict, &reason) &&
        (verdict == KT_V_THROTTLED || verdict == KT_V_FAULT))
        return kt_verdict_say(call, verdict, reason, "STS answers %.60s", code);
    verdict = kt_verdict_of_http(call, x);
    if (verdict != KT_V_DONE)
        return verdict;
    return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS, "STS refuses: HTTP status %ld %.60s",
                          x->status, code);
}

enum kt_verdict kt_sts_parse(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                             struct kt_token *token)
{
    static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
    struct kt_span xml = kt_secbuf_get(&x->reply);
    size_t at[4];
    int64_t expires_ms;
    bool ok = x->status == 200 && xml.data;
    kt_secbuf_reset(&cred->scratch);
    if (x->status != 200)
        return judge_refusal(call, x, &cred->scratch);
    for (int i = 0; i < 4 && ok; i++) {
        at[i] = cred->scratch.nbytes;
        ok = element(xml, names[i], &cred->scratch);
    }
    const char *text = (const char *)cred->scratch.data;
    if (!ok || !kt_cred_time(text + at[3], &expires_ms))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply of STS holds no credentials");
    ok = kt_token_set_aws(token, text + at[0], text + at[1], text + at[2]);
    kt_token_lives(token, cred->now_ms, expires_ms - cred->now_ms);
    kt_secbuf_reset(&cred->scratch);
    return ok ? KT_V_DONE : kt_cred_no_memory(call);
}
