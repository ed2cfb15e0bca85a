/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes in locked memory, for messages that may hold keys, tokens or credentials. A failed put sets
 * `failed` and changes nothing more, so that builders check once, at their end. */
#ifndef KT_KMS_SECBUF_H
#define KT_KMS_SECBUF_H

#include <stdbool.h>

#include "common/secmem.h"
#include "common/span.h"

struct kt_secbuf {
    struct kt_secmem *pool;
    uint8_t *data;
    size_t nbytes, capacity;
    bool failed;
};

void kt_secbuf_init(struct kt_secbuf *buf, struct kt_secmem *pool);

/* Wipes the content. reset keeps at most KT_SECBUF_KEEP bytes of memory, free none. */
#define KT_SECBUF_KEEP ((size_t)1024)
void kt_secbuf_reset(struct kt_secbuf *buf);
void kt_secbuf_free(struct kt_secbuf *buf);

/* Room for `more` bytes behind nbytes; false (and failed) when locked memory has run out. */
bool kt_secbuf_reserve(struct kt_secbuf *buf, size_t more);

void kt_secbuf_put(struct kt_secbuf *buf, const void *data, size_t nbytes);
void kt_secbuf_span(struct kt_secbuf *buf, struct kt_span span);
void kt_secbuf_text(struct kt_secbuf *buf, const char *text);

/* RFC 4648: standard with padding; or the URL alphabet without. */
void kt_secbuf_base64(struct kt_secbuf *buf, struct kt_span bytes);
void kt_secbuf_base64url(struct kt_secbuf *buf, struct kt_span bytes);

/* Percent-encodes all but RFC 3986 unreserved characters. */
void kt_secbuf_form(struct kt_secbuf *buf, const char *text);

/* A JSON string with its quotation marks; text is UTF-8. */
void kt_secbuf_json(struct kt_secbuf *buf, const char *text);

/* The content; data NULL when it is empty or failed. */
struct kt_span kt_secbuf_get(const struct kt_secbuf *buf);

/* Either base64 alphabet, with or without padding, nothing else; bits beyond the last byte are ignored.
 * False: text is no base64, or (decode) does not fit into capacity bytes. Else nbytes is what it stands for.
 * decode writes nothing but those bytes, and leaves no copy of them anywhere else. */
bool kt_base64_measure(struct kt_span text, size_t *nbytes);
bool kt_base64_decode(struct kt_span text, uint8_t *out, size_t capacity, size_t *nbytes);

#endif
