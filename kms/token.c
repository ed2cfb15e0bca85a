/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/token.h"

static void put_string(struct kt_secbuf *buf, const char *text)
{
    kt_secbuf_put(buf, text, strlen(text) + 1);
}

bool kt_token_set_aws(struct kt_token *token, const char *access_key, const char *secret, const char *session)
{
    kt_secbuf_reset(&token->text);
    put_string(&token->text, access_key);
    token->secret_at = (uint32_t)token->text.nbytes;
    put_string(&token->text, secret);
    token->session_at = 0;
    if (session && *session) {
        token->session_at = (uint32_t)token->text.nbytes;
        put_string(&token->text, session);
    }
    token->expires_ms = token->refresh_ms = 0;
    return !token->text.failed;
}

bool kt_token_set_bearer(struct kt_token *token, const char *bearer)
{
    kt_secbuf_reset(&token->text);
    put_string(&token->text, bearer);
    token->secret_at = token->session_at = 0;
    token->expires_ms = token->refresh_ms = 0;
    return !token->text.failed;
}

void kt_token_lives(struct kt_token *token, int64_t now_ms, int64_t lifetime_ms)
{
    token->expires_ms = now_ms + lifetime_ms;
    token->refresh_ms = now_ms + lifetime_ms / 5 * 4;
}
