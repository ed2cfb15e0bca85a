/* SPDX-License-Identifier: Apache-2.0 */
/* Where tokens come from: the provider's document, or else the places where each cloud's own tools look. A
 * source is a small state machine of requests; sockets are not its matter.
 * Sources: AWS SDKs and Tools reference guide, "Credential providers"; Microsoft identity platform v2.0
 * (client credentials, RFC 7523 assertions); Google OAuth 2.0 for service accounts (RFC 7523), Compute Engine
 * metadata server; libmongocrypt and libmongoc for names and defaults. */
#ifndef KT_KMS_CREDENTIALS_H
#define KT_KMS_CREDENTIALS_H

#include "kms/exchange.h"
#include "kms/json.h"
#include "kms/token.h"

struct kt_cred;

struct kt_cred_source {
    const char *name;
    bool given;   /* stands in the document */
    bool rereads; /* what it reads may be another one by now, without an expiry that says so */
    bool (*applies)(struct kt_cred *cred);
    /* KT_V_SEND; KT_V_DONE when the token needs no request; KT_V_FINAL. */
    enum kt_verdict (*build)(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                             struct kt_token *token);
    /* KT_V_DONE, KT_V_NEXT (build the next step), KT_V_FAULT, KT_V_THROTTLED, KT_V_FINAL. */
    enum kt_verdict (*parse)(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                             struct kt_token *token);
};

struct kt_cred {
    enum kt_kms kms;
    bson_t document;            /* view of the account's or the callback's */
    char audience[300];         /* OAuth scope; AWS: empty */
    char *(*env)(const char *); /* getenv, or a test's */
    const struct kt_cred_source *source;
    uint32_t step;
    struct kt_secbuf scratch; /* what one step leaves for the next */
    struct kt_token base;     /* AWS: signs AssumeRole */
    int64_t now_ms;           /* UTC, set before build and parse */
};

/* The first source that applies; NULL: none. Starts at step 0. */
const struct kt_cred_source *kt_cred_choose(struct kt_cred *cred);

/* The sentence for an account without credentials. */
const char *kt_cred_missing_text(enum kt_kms kms);

/* Most specific first, ended by one without a name. */
extern const struct kt_cred_source kt_cred_aws[], kt_cred_azure[], kt_cred_gcp[];

/* For the sources. */

/* The accessToken of the document. */
bool kt_cred_token_applies(struct kt_cred *cred);
enum kt_verdict kt_cred_token_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                    struct kt_token *token);
/* A non-empty environment variable, or NULL. */
const char *kt_cred_env(const struct kt_cred *cred, const char *name);
/* A small file, NUL-terminated (the NUL is not counted), white space at its end cut off. */
bool kt_cred_file(const char *path, struct kt_secbuf *out);
/* "2026-03-02T09:14:07Z" to UTC milliseconds. */
bool kt_cred_time(const char *text, int64_t *utc_ms);
/* "https://host[:port]" of an address in the document, or of otherwise. KT_V_SEND, KT_V_FINAL. */
enum kt_verdict kt_cred_address(const struct kt_cred *cred, struct kt_kms_call *call, const char *field,
                                const char *otherwise, char *out, size_t nbytes);
/* A POST of a form; the body is the caller's to fill. */
enum kt_verdict kt_cred_form(struct kt_kms_call *call, struct kt_exchange *x, const char *scheme_and_host,
                             const char *path);
void kt_cred_field(struct kt_exchange *x, const char *name, const char *value);
/* An OAuth reply: access_token and expires_in. RFC 6749 section 5. */
enum kt_verdict kt_cred_oauth_reply(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                    struct kt_token *token);
enum kt_verdict kt_cred_no_memory(struct kt_kms_call *call);

#endif
