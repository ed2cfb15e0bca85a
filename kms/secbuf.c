/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/secbuf.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>

void kt_secbuf_init(struct kt_secbuf *buf, struct kt_secmem *pool)
{
    *buf = (struct kt_secbuf){.pool = pool};
}

void kt_secbuf_reset(struct kt_secbuf *buf)
{
    if (buf->capacity > KT_SECBUF_KEEP) {
        kt_secbuf_free(buf);
        return;
    }
    kt_wipe(buf->data, buf->nbytes);
    buf->nbytes = 0;
    buf->failed = false;
}

void kt_secbuf_free(struct kt_secbuf *buf)
{
    kt_secmem_free(buf->pool, buf->data);
    *buf = (struct kt_secbuf){.pool = buf->pool};
}

bool kt_secbuf_reserve(struct kt_secbuf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (more <= buf->capacity - buf->nbytes)
        return true;
    size_t capacity = buf->capacity ? buf->capacity : 512;
    while (capacity < KT_SECMEM_MAX && capacity - buf->nbytes < more)
        capacity *= 2;
    uint8_t *data = capacity - buf->nbytes < more ? NULL : kt_secmem_alloc(buf->pool, capacity);
    if (!data) {
        buf->failed = true;
        return false;
    }
    if (buf->nbytes)
        memcpy(data, buf->data, buf->nbytes);
    kt_secmem_free(buf->pool, buf->data);
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void kt_secbuf_put(struct kt_secbuf *buf, const void *data, size_t nbytes)
{
    if (nbytes == 0 || !kt_secbuf_reserve(buf, nbytes))
        return;
    memcpy(buf->data + buf->nbytes, data, nbytes);
    buf->nbytes += nbytes;
}

void kt_secbuf_span(struct kt_secbuf *buf, struct kt_span span)
{
    kt_secbuf_put(buf, span.data, span.nbytes);
}

void kt_secbuf_text(struct kt_secbuf *buf, const char *text)
{
    kt_secbuf_put(buf, text, strlen(text));
}

static uint8_t *encode(struct kt_secbuf *buf, struct kt_span bytes)
{
    /* EVP_EncodeBlock writes a NUL behind its text. */
    if (bytes.nbytes > KT_SECMEM_MAX || !kt_secbuf_reserve(buf, (bytes.nbytes + 2) / 3 * 4 + 1))
        return NULL;
    uint8_t *at = buf->data + buf->nbytes;
    if (bytes.nbytes)
        buf->nbytes += (size_t)EVP_EncodeBlock(at, bytes.data, (int)bytes.nbytes);
    return at;
}

void kt_secbuf_base64(struct kt_secbuf *buf, struct kt_span bytes)
{
    encode(buf, bytes);
}

void kt_secbuf_base64url(struct kt_secbuf *buf, struct kt_span bytes)
{
    uint8_t *at = encode(buf, bytes);
    if (!at)
        return;
    for (uint8_t *p = at; p < buf->data + buf->nbytes; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    while (buf->nbytes && buf->data[buf->nbytes - 1] == '=')
        buf->nbytes--;
}

void kt_secbuf_form(struct kt_secbuf *buf, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (isalnum(*p) || *p == '-' || *p == '.' || *p == '_' || *p == '~') {
            kt_secbuf_put(buf, p, 1);
        } else {
            char escaped[3] = {'%', hex[*p >> 4], hex[*p & 15]};
            kt_secbuf_put(buf, escaped, 3);
        }
    }
}

void kt_secbuf_json(struct kt_secbuf *buf, const char *text)
{
    kt_secbuf_text(buf, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        char escaped[8];
        if (*p == '"' || *p == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *p);
        else if (*p < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", *p);
        else
            snprintf(escaped, sizeof escaped, "%c", *p);
        kt_secbuf_text(buf, escaped);
    }
    kt_secbuf_text(buf, "\"");
}

struct kt_span kt_secbuf_get(const struct kt_secbuf *buf)
{
    if (buf->failed || buf->nbytes == 0)
        return kt_span_of(NULL, 0);
    return kt_span_of(buf->data, buf->nbytes);
}

#define PIECE 64u /* characters decoded at a time */

/* Up to PIECE characters of either alphabet, without padding. The number of bytes, or 0. */
static size_t decode_piece(const uint8_t *text, size_t n, uint8_t bytes[PIECE / 4 * 3])
{
    uint8_t chars[PIECE];
    size_t padded = (n + 3) / 4 * 4, made = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0);
    bool ok = true;
    memset(chars, '=', sizeof chars);
    for (size_t i = 0; i < n && ok; i++) {
        uint8_t c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        ok = isalnum(c) || c == '+' || c == '/';
        chars[i] = c;
    }
    ok = ok && EVP_DecodeBlock(bytes, chars, (int)padded) == (int)(padded / 4 * 3);
    kt_wipe(chars, sizeof chars);
    return ok ? made : 0;
}

bool kt_base64_decode(struct kt_span text, uint8_t *out, size_t capacity, size_t *nbytes)
{
    size_t n = text.nbytes;
    if (n % 4 == 0)
        for (int pad = 0; pad < 2 && n && text.data[n - 1] == '='; pad++)
            n--;
    if (n % 4 == 1)
        return false;
    size_t length = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0), done = 0;
    if (length > capacity)
        return false;
    uint8_t bytes[PIECE / 4 * 3];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t made = decode_piece(text.data + at, n - at < PIECE ? n - at : PIECE, bytes);
        if (made)
            memcpy(out + done, bytes, made);
        done += made;
        if (!made)
            break;
    }
    kt_wipe(bytes, sizeof bytes);
    *nbytes = done;
    return done == length;
}
