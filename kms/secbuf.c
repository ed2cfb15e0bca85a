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

/* The six bits that a digit of either alphabet stands for, or NO_DIGIT. */
#define NO_DIGIT 64u

static uint32_t bits_of(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26u;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52u;
    if (digit == '+' || digit == '-')
        return 62;
    return digit == '/' || digit == '_' ? 63 : NO_DIGIT;
}

bool kt_base64_measure(struct kt_span text, size_t *nbytes)
{
    size_t n = text.nbytes;
    if (n % 4 == 0)
        for (int pad = 0; pad < 2 && n && text.data[n - 1] == '='; pad++)
            n--;
    for (size_t i = 0; i < n; i++)
        if (bits_of(text.data[i]) == NO_DIGIT)
            return false;
    *nbytes = n / 4 * 3 + n % 4 * 3 / 4;
    return n % 4 != 1;
}

bool kt_base64_decode(struct kt_span text, uint8_t *out, size_t capacity, size_t *nbytes)
{
    uint32_t bits = 0;
    if (!kt_base64_measure(text, nbytes) || *nbytes > capacity)
        return false;
    for (size_t i = 0, made = 0; made < *nbytes; i++) {
        bits = bits << 6 | bits_of(text.data[i]);
        if (i % 4 != 0)
            out[made++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    return true;
}
