/* SPDX-License-Identifier: Apache-2.0 */
/* What proves to a service who asks: an AWS key pair or a bearer token. */
#ifndef KT_KMS_TOKEN_H
#define KT_KMS_TOKEN_H

#include "kms/secbuf.h"

#define KT_TOKEN_MARGIN_MS 300 /* it must live until its request has arrived */

struct kt_token {
    struct kt_secbuf text;          /* NUL-terminated strings one after another */
    uint32_t secret_at, session_at; /* AWS: access key at 0, secret, session token (0: none). Bearer: at 0 */
    int64_t expires_ms;             /* UTC; 0: never */
    int64_t refresh_ms;             /* from here on a new one is fetched while this one still serves */
};

static inline const char *kt_token_first(const struct kt_token *token)
{
    return (const char *)token->text.data;
}

static inline const char *kt_token_secret(const struct kt_token *token)
{
    return (const char *)token->text.data + token->secret_at;
}

/* NULL: none. */
static inline const char *kt_token_session(const struct kt_token *token)
{
    return token->session_at ? (const char *)token->text.data + token->session_at : NULL;
}

/* Replaces the content; false when locked memory has run out. session may be NULL or empty. */
bool kt_token_set_aws(struct kt_token *token, const char *access_key, const char *secret,
                      const char *session);
bool kt_token_set_bearer(struct kt_token *token, const char *bearer);

/* Valid for lifetime_ms from now_ms; refreshed at 80% of it. */
void kt_token_lives(struct kt_token *token, int64_t now_ms, int64_t lifetime_ms);

#endif
