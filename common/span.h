/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed and owned runs of bytes, and little-endian access as BSON has it. */
#ifndef KT_COMMON_SPAN_H
#define KT_COMMON_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "keyturn/span.h"
#include "keyturn/status.h"

/* Owned bytes on the heap. Zero-initialised is empty and legal for every function here. Not for secrets. */
struct kt_buf {
    uint8_t *data;
    size_t nbytes, capacity;
};

/* Makes room for `more` bytes behind nbytes. KT_OK or KT_E_NOMEM (then nothing changed). */
KT_MUST_USE enum kt_status kt_buf_reserve(struct kt_buf *buf, size_t more);
KT_MUST_USE enum kt_status kt_buf_append(struct kt_buf *buf, const void *data, size_t nbytes);
void kt_buf_free(struct kt_buf *buf);

static inline struct kt_span kt_span_of(const void *data, size_t nbytes)
{
    return (struct kt_span){(const uint8_t *)data, nbytes};
}

static inline struct kt_span kt_span_str(const char *text)
{
    return kt_span_of(text, strlen(text));
}

/* What lies behind the first n bytes. (No arithmetic on a NULL pointer, not even with 0.) */
static inline struct kt_span kt_span_skip(struct kt_span span, size_t n)
{
    return n == 0 ? span : kt_span_of(span.data + n, span.nbytes - n);
}

/* For names and other public bytes only; secrets are compared by CRYPTO_memcmp. */
static inline bool kt_span_equal(struct kt_span a, struct kt_span b)
{
    return a.nbytes == b.nbytes && (a.nbytes == 0 || memcmp(a.data, b.data, a.nbytes) == 0);
}

/* FNV-1a with its halves folded: for tables of names; two texts may share one. */
static inline uint64_t kt_span_hash(struct kt_span span)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < span.nbytes; i++)
        hash = (hash ^ span.data[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static inline uint32_t kt_load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t kt_load_le64(const uint8_t *p)
{
    return (uint64_t)kt_load_le32(p) | (uint64_t)kt_load_le32(p + 4) << 32;
}

static inline void kt_store_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void kt_store_le64(uint8_t *p, uint64_t v)
{
    kt_store_le32(p, (uint32_t)v);
    kt_store_le32(p + 4, (uint32_t)(v >> 32));
}

#endif
