/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to key management services, many at once. One thread runs an event loop over all connections; callers
 * submit calls and are told by callback. The loop finds credentials, paces itself to the quota, repeats what
 * faults have spoilt, checks replies, and ends each call exactly once.
 *
 * Protocols: libmongocrypt kms-message and mongocrypt-kms-ctx.c for what drivers send; AWS KMS API (Encrypt,
 * Decrypt, ReEncrypt); Azure Key Vault REST 7.1 (wrapkey, unwrapkey, keys); Google Cloud KMS v1; OASIS KMIP
 * 1.0 and 1.2.
 *
 * Secrets: DEKs, request and reply bodies, tokens and credentials lie in locked memory while this folder
 * holds them. libcurl and OpenSSL copy some of them to their own heap (headers, TLS records), and libbson
 * parses replies: a program that cares calls curl_global_init_mem, CRYPTO_set_mem_functions and
 * bson_mem_set_vtable with allocators that wipe on free, before anything else. */
#ifndef KT_KMS_KMS_H
#define KT_KMS_KMS_H

#include <stdbool.h>

#include "common/kms_type.h"
#include "common/log.h"
#include "common/secmem.h"
#include "common/span.h"
#include "keyturn/credentials.h"

/* A provider as configured. Everything is borrowed until kt_kms_close; two calls with the same pointer share
 * credentials, connections and quota. */
struct kt_kms_account {
    const char *id;  /* "aws:eu", as masterKey.provider has it; NUL-terminated */
    enum kt_kms kms; /* not KT_KMS_LOCAL */
    struct kt_span
        credentials; /* BSON, the drivers' document of this provider; {}: found in the environment */
    struct kt_span tls_options; /* BSON, the drivers' tlsOptions of this provider; data NULL: none */
};

enum kt_kms_op {
    KT_KMS_UNWRAP,        /* in: wrapped DEK -> out: 96 bytes */
    KT_KMS_WRAP,          /* in: 96 bytes    -> out: wrapped DEK. Azure: masterKey must have a keyVersion;
                             KMIP: a keyId (KT_KMS_RESOLVE gives one) */
    KT_KMS_REWRAP,        /* in: DEK wrapped under source -> out: wrapped under master_key; the KMS never
                             shows the DEK. Only where kt_kms_can_rewrap says so */
    KT_KMS_REWRAP_DRYRUN, /* as REWRAP, but only asks whether it would be allowed; no output */
    KT_KMS_RESOLVE, /* no in -> out: master_key as a wrap target must have it, a BSON masterKey document:
                       Azure gets its current keyVersion, KMIP without keyId a new key (registered and
                       activated, or created when delegated); others unchanged */
};

/* Why a call failed, for screens that say more than the status. */
enum kt_kms_reason {
    KT_KMS_R_NONE,
    KT_KMS_R_CONFIG,      /* masterKey, credentials document or tlsOptions are wrong */
    KT_KMS_R_CREDENTIALS, /* none found, or the service does not accept them */
    KT_KMS_R_DENIED,      /* they lack the right to use this CMK */
    KT_KMS_R_MISSING,     /* the CMK does not exist */
    KT_KMS_R_DISABLED,    /* the CMK is disabled, destroyed or of a wrong kind */
    KT_KMS_R_CIPHERTEXT,  /* the CMK does not open this wrapped DEK */
    KT_KMS_R_TLS,         /* the server's or our certificate is not accepted */
    KT_KMS_R_THROTTLED,   /* still throttled at the deadline */
    KT_KMS_R_NETWORK,     /* still unreachable or faulty at the deadline */
    KT_KMS_R_REPLY,       /* still no credible reply at the deadline */
    KT_KMS_R_STOPPED,
};

/* One call. The caller owns this and all memory it points to, and leaves them alone from kt_kms_submit until
 * done is called. */
struct kt_kms_call {
    enum kt_kms_op op;
    const struct kt_kms_account *account;
    struct kt_span master_key; /* BSON, stored form: the CMK that has wrapped (UNWRAP) or shall wrap */
    struct kt_span source;     /* BSON, stored form: REWRAP's other CMK */
    struct kt_span in;         /* a DEK to wrap lies in locked memory */
    uint8_t *out;              /* locked memory when it receives a DEK */
    uint32_t out_capacity;     /* UNWRAP: 96; else KT_KMS_OUT_MAX */
    /* Called exactly once, on the loop's thread: it must not block and may submit further calls. */
    void (*done)(struct kt_kms_call *call);
    void *context;

    /* results */
    uint32_t out_nbytes;
    uint32_t attempts;    /* requests sent for this call */
    uint64_t nanoseconds; /* from the first request to the end */
    enum kt_kms_reason reason;
    struct kt_error
        error; /* status KT_OK, KT_E_CONFIG, KT_E_CREDENTIALS, KT_E_DENIED (reasons DENIED, MISSING,
                  DISABLED), KT_E_KEY (CIPHERTEXT), KT_E_NET (TLS, THROTTLED, NETWORK, REPLY),
                  KT_E_STOPPED, KT_E_NOMEM; the message names provider and CMK, never a secret */

    /* the loop's own; zero before submitting */
    struct {
        struct kt_kms_call *next;
        void *bucket, *asset;
        uint64_t started_ns, due_ns;
        uint32_t step, faults, expired, garbage;
    } loop;
};

#define KT_KMS_OUT_MAX 8192 /* AWS: CiphertextBlob <= 6,144 bytes; others are shorter */

struct kt_kms_options {
    struct kt_secmem *secmem;
    const struct kt_log *log;
    uint32_t concurrency;           /* ceiling of requests in flight; 0: 512 */
    double rate;                    /* ceiling of requests a second per quota bucket; 0: none */
    uint32_t queue_max;             /* calls submitted and not done; 0: 65,536 */
    uint32_t attempt_ms;            /* one request, connecting included; 0: 10,000 */
    uint32_t deadline_ms;           /* a call with all its repetitions, from its first request; 0: 120,000 */
    kt_credentials_fn *credentials; /* NULL: there is none */
    void *credentials_context;
};

struct kt_kms_stats {
    uint64_t calls;        /* ended calls of callers */
    uint64_t failed;       /* of these */
    uint64_t requests;     /* sent to a KMS, token endpoints not counted */
    uint64_t retries;      /* requests that repeated an earlier one, throttled included */
    uint64_t throttled;    /* replies that meant "slow down" */
    uint64_t tokens;       /* credential and token requests */
    double p50_ms, p99_ms; /* latency of requests, within 4% */
    uint32_t in_flight, queued;
    uint32_t batched; /* the most KMIP requests that one message has carried */
};

struct kt_kms_loop;

/* Starts the loop's thread, with all signals blocked in it. Counts as one user of libcurl (curl_global_init),
 * so a program that wants its own allocators there calls curl_global_init_mem before. KT_OK, KT_E_NOMEM,
 * KT_E_INTERNAL (no epoll, eventfd or thread). */
KT_MUST_USE enum kt_status kt_kms_open(struct kt_kms_loop **kms, const struct kt_kms_options *options,
                                       struct kt_error *err);

/* Any thread. KT_OK: done will be called, or has been. KT_E_LIMIT: queue_max calls are under way, try again
 * after one of them is done. KT_E_STOPPED: closing. */
KT_MUST_USE enum kt_status kt_kms_submit(struct kt_kms_loop *kms, struct kt_kms_call *call);

/* Any thread. Every call that was submitted before ends soon, with KT_E_STOPPED unless it has its reply. */
void kt_kms_cancel_all(struct kt_kms_loop *kms);

/* Cancels, waits until every done has been called, wipes. NULL is accepted. Not from the loop's thread. */
void kt_kms_close(struct kt_kms_loop *kms);

/* Any thread. */
void kt_kms_stats(struct kt_kms_loop *kms, struct kt_kms_stats *stats);

/* Whether one REWRAP can replace UNWRAP and WRAP: both AWS, one account (provider id), region and endpoint.
 */
bool kt_kms_can_rewrap(const struct kt_kms_account *from, struct kt_span from_master_key,
                       const struct kt_kms_account *to, struct kt_span to_master_key);

/* Names what answers for a CMK: one KMS at one address. NUL-terminated. False: there is no name, as masterKey
 * is malformed or nbytes are too few. */
bool kt_kms_service(const struct kt_kms_account *account, struct kt_span master_key, char *out,
                    size_t nbytes);

/* What a call costs, for plans: the number of KMS requests that an op makes when nothing fails and everything
 * that is fetched once is there (KMIP and Azure wraps: 0), and how many have to be made once per CMK. */
struct kt_kms_cost {
    uint32_t each, once;
    bool at_least; /* a call may take more: an Azure key's versions are tried one after the other */
};
struct kt_kms_cost kt_kms_cost(enum kt_kms kms, enum kt_kms_op op, struct kt_span master_key);

/* "denied", "missing", ... for screens and reports. */
const char *kt_kms_reason_text(enum kt_kms_reason reason);

#endif
