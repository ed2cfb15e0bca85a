/* SPDX-License-Identifier: Apache-2.0 */
/* TTLV, the encoding of KMIP messages: tag 3 bytes, type 1, length 4 (big-endian, padding not counted), value
 * padded to a multiple of 8. Source: OASIS KMIP 1.2, section 9.1. */
#ifndef KT_KMS_TTLV_H
#define KT_KMS_TTLV_H

#include "kms/secbuf.h"

enum kt_ttlv_type {
    KT_TTLV_STRUCT = 1,
    KT_TTLV_INT = 2,
    KT_TTLV_LONG = 3,
    KT_TTLV_ENUM = 5,
    KT_TTLV_BOOL = 6,
    KT_TTLV_TEXT = 7,
    KT_TTLV_BYTES = 8,
    KT_TTLV_DATE = 9,
};

/* Writers append to buf. A structure is opened, filled and closed with what open returned. */
size_t kt_ttlv_open(struct kt_secbuf *buf, uint32_t tag);
void kt_ttlv_close(struct kt_secbuf *buf, size_t opened);
void kt_ttlv_int(struct kt_secbuf *buf, uint32_t tag, int32_t value);
void kt_ttlv_enum(struct kt_secbuf *buf, uint32_t tag, uint32_t value);
void kt_ttlv_bool(struct kt_secbuf *buf, uint32_t tag, bool value);
void kt_ttlv_text(struct kt_secbuf *buf, uint32_t tag, const char *text);
void kt_ttlv_bytes(struct kt_secbuf *buf, uint32_t tag, struct kt_span bytes);

/* One element; value excludes padding and points into what was read. */
struct kt_ttlv {
    uint32_t tag, type;
    struct kt_span value;
};

/* Takes the first element off *in. False at its end and when bytes are no element (in then stays). */
bool kt_ttlv_next(struct kt_span *in, struct kt_ttlv *element);

/* Walks a path of tags through structures, first match at each step. types are not checked. */
bool kt_ttlv_find(struct kt_span in, const uint32_t *tags, size_t count, struct kt_ttlv *element);

/* Value of an integer or enumeration; false for other types or lengths. */
bool kt_ttlv_u32(const struct kt_ttlv *element, uint32_t *value);

/* Bytes that the message which begins with these 8 bytes has in all; 0 when they begin none. */
size_t kt_ttlv_message_nbytes(const uint8_t head[8]);

#endif
