/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its reply, apart from any socket. Providers build and judge them; transports carry them. */
#ifndef KT_KMS_EXCHANGE_H
#define KT_KMS_EXCHANGE_H

#include "kms/kms.h"
#include "kms/secbuf.h"

#define KT_KMS_REPLY_MAX                                                                                     \
    ((size_t)256 << 10) /* a longer reply is garbage: the largest legal ones are key lists */
#define KT_KMS_DEK_NBYTES 96

/* What to do after a reply, or instead of a request. */
enum kt_verdict {
    KT_V_SEND,      /* a request is ready */
    KT_V_DONE,      /* finished, the result is in its place */
    KT_V_NEXT,      /* build again: there is another step */
    KT_V_FAULT,     /* repeat: network, server fault, garbage */
    KT_V_THROTTLED, /* repeat, and slow down */
    KT_V_EXPIRED,   /* repeat with fresh credentials */
    KT_V_FINAL,     /* failed, repeating does not help; the error is in its place */
};

enum kt_method { KT_GET, KT_POST, KT_PUT };

struct kt_exchange {
    /* request */
    enum kt_method method;
    char url[1600];           /* HTTP; KMIP: host[:port] */
    struct kt_secbuf headers; /* "Name: value" lines, each ended by a NUL */
    struct kt_secbuf body;    /* KMIP: batch items */
    char sigv4[96];           /* "aws:amz:REGION:SERVICE", signed when sent; empty: unsigned */
    const char *sign_key, *sign_secret;
    bool metadata;       /* a host-local service: no proxy, no patience */
    uint32_t kmip_minor; /* KMIP: protocol 1.minor */
    /* reply */
    long status; /* HTTP; 0: none came, then `problem` says why */
    uint32_t retry_after_ms;
    struct kt_secbuf reply;            /* KMIP: the batch item that answers */
    enum kt_kms_reason problem_reason; /* TLS: final; NETWORK: a fault */
    bool unreachable;                  /* no connection was made */
    char problem[240];
};

void kt_exchange_init(struct kt_exchange *x, struct kt_secmem *secmem);
void kt_exchange_reset(struct kt_exchange *x);
void kt_exchange_free(struct kt_exchange *x);

/* Appends "name: " and the parts up to NULL. */
void kt_exchange_header(struct kt_exchange *x, const char *name, ...) __attribute__((sentinel));

/* False when a buffer ran out of locked memory. */
bool kt_exchange_built(const struct kt_exchange *x);

/* Sets reason and status of a call and the sentence "CMK: what", cleaned of control characters; the verdict
 * is returned so that judges can end with it. The message is provisional for verdicts that repeat. */
enum kt_verdict kt_verdict_say(struct kt_kms_call *call, enum kt_verdict verdict, enum kt_kms_reason reason,
                               const char *fmt, ...) KT_PRINTF(4, 5);

/* What every HTTP provider says alike: no reply, 408, 429, 5xx. KT_V_DONE: a reply that the provider must
 * judge itself. */
enum kt_verdict kt_verdict_of_http(struct kt_kms_call *call, const struct kt_exchange *x);

/* Hands a result over. KT_V_DONE; KT_V_FAULT: it is no base64, or a wrap that is too short or does not fit;
 * KT_V_FINAL: a DEK that has not exactly 96 bytes. A DEK is written to call->out when it is one, else nothing
 * is. */
enum kt_verdict kt_verdict_result(struct kt_kms_call *call, struct kt_span base64);

enum kt_status kt_status_of_reason(enum kt_kms_reason reason);

#endif
