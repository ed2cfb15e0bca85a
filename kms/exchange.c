/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/exchange.h"

#include <stdarg.h>
#include <stdio.h>

#include "kms/cmk.h"

void kt_exchange_init(struct kt_exchange *x, struct kt_secmem *secmem)
{
    *x = (struct kt_exchange){0};
    kt_secbuf_init(&x->headers, secmem);
    kt_secbuf_init(&x->body, secmem);
    kt_secbuf_init(&x->reply, secmem);
}

void kt_exchange_reset(struct kt_exchange *x)
{
    kt_secbuf_reset(&x->headers);
    kt_secbuf_reset(&x->body);
    kt_secbuf_reset(&x->reply);
    struct kt_secbuf headers = x->headers, body = x->body, reply = x->reply;
    *x = (struct kt_exchange){.headers = headers, .body = body, .reply = reply};
}

void kt_exchange_free(struct kt_exchange *x)
{
    kt_secbuf_free(&x->headers);
    kt_secbuf_free(&x->body);
    kt_secbuf_free(&x->reply);
}

void kt_exchange_header(struct kt_exchange *x, const char *name, ...)
{
    va_list args;
    kt_secbuf_text(&x->headers, name);
    kt_secbuf_text(&x->headers, ": ");
    va_start(args, name);
    for (const char *part; (part = va_arg(args, const char *));)
        kt_secbuf_text(&x->headers, part);
    va_end(args);
    kt_secbuf_put(&x->headers, "", 1);
}

bool kt_exchange_built(const struct kt_exchange *x)
{
    return !x->headers.failed && !x->body.failed;
}

enum kt_status kt_status_of_reason(enum kt_kms_reason reason)
{
    switch (reason) {
    case KT_KMS_R_NONE:
        return KT_OK;
    case KT_KMS_R_CONFIG:
        return KT_E_CONFIG;
    case KT_KMS_R_CREDENTIALS:
        return KT_E_CREDENTIALS;
    case KT_KMS_R_DENIED:
    case KT_KMS_R_MISSING:
    case KT_KMS_R_DISABLED:
        return KT_E_DENIED;
    case KT_KMS_R_CIPHERTEXT:
        return KT_E_KEY;
    case KT_KMS_R_STOPPED:
        return KT_E_STOPPED;
    default:
        return KT_E_NET;
    }
}

const char *kt_kms_reason_text(enum kt_kms_reason reason)
{
    static const char *const texts[] = {[KT_KMS_R_NONE] = "no error",
                                        [KT_KMS_R_CONFIG] = "configuration",
                                        [KT_KMS_R_CREDENTIALS] = "credentials",
                                        [KT_KMS_R_DENIED] = "denied",
                                        [KT_KMS_R_MISSING] = "missing",
                                        [KT_KMS_R_DISABLED] = "disabled",
                                        [KT_KMS_R_CIPHERTEXT] = "does not open",
                                        [KT_KMS_R_TLS] = "TLS",
                                        [KT_KMS_R_THROTTLED] = "throttled",
                                        [KT_KMS_R_NETWORK] = "network",
                                        [KT_KMS_R_REPLY] = "bad reply",
                                        [KT_KMS_R_STOPPED] = "stopped"};
    return (size_t)reason < sizeof texts / sizeof texts[0] ? texts[reason] : "unknown";
}

/* Replies are others' text: they must not move a terminal's cursor or break a log line. */
static void clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

enum kt_verdict kt_verdict_say(struct kt_kms_call *call, enum kt_verdict verdict, enum kt_kms_reason reason,
                               const char *fmt, ...)
{
    char name[220] = "", what[280];
    struct kt_cmk cmk;
    if (call->master_key.data && kt_cmk_parse(call->account->kms, call->master_key, &cmk, NULL) == KT_OK)
        kt_cmk_describe(&cmk, name, sizeof name);
    else
        snprintf(name, sizeof name, "%s", call->account->id);
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    call->reason = reason;
    kt_fail(&call->error, kt_status_of_reason(reason), "%s: %s", name, what);
    clean(call->error.message);
    return verdict;
}

enum kt_verdict kt_verdict_of_http(struct kt_kms_call *call, const struct kt_exchange *x)
{
    if (x->status == 0)
        return kt_verdict_say(call, x->problem_reason == KT_KMS_R_NETWORK ? KT_V_FAULT : KT_V_FINAL,
                              x->problem_reason, "%s", x->problem);
    if (x->status == 429)
        return kt_verdict_say(call, KT_V_THROTTLED, KT_KMS_R_THROTTLED,
                              "the service asks for fewer requests (429)");
    if (x->status == 408 || x->status >= 500)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK, "the service answers with HTTP status %ld",
                              x->status);
    if (x->status == 407)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the proxy wants credentials (407)");
    return KT_V_DONE;
}

/* The caller's memory is locked: nothing of a key may lie elsewhere, whatever the reply holds. */
static enum kt_verdict unwrapped(struct kt_kms_call *call, struct kt_span base64)
{
    size_t nbytes;
    if (!kt_base64_measure(base64, &nbytes))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY, "the reply's plaintext is no base64");
    if (nbytes != KT_KMS_DEK_NBYTES || !kt_base64_decode(base64, call->out, call->out_capacity, &nbytes))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT,
                              "the unwrapped key has %zu bytes instead of 96; this is no data encryption key",
                              nbytes);
    call->out_nbytes = (uint32_t)nbytes;
    return KT_V_DONE;
}

enum kt_verdict kt_verdict_result(struct kt_kms_call *call, struct kt_span base64)
{
    if (call->op == KT_KMS_UNWRAP)
        return unwrapped(call, base64);
    size_t nbytes = 0;
    if (!kt_base64_decode(base64, call->out, call->out_capacity, &nbytes) || nbytes < KT_KMS_DEK_NBYTES)
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_REPLY,
                              "the reply's wrapped key is no base64, too short or too long");
    call->out_nbytes = (uint32_t)nbytes;
    return KT_V_DONE;
}
