/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/ttlv.h"

static void store_be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(struct kt_secbuf *buf, uint32_t tag, enum kt_ttlv_type type, const void *value, size_t nbytes)
{
    static const uint8_t zeros[8];
    uint8_t head[8];
    store_be32(head, tag << 8 | type);
    store_be32(head + 4, (uint32_t)nbytes);
    kt_secbuf_put(buf, head, sizeof head);
    kt_secbuf_put(buf, value, nbytes);
    kt_secbuf_put(buf, zeros, (8 - nbytes % 8) % 8);
}

size_t kt_ttlv_open(struct kt_secbuf *buf, uint32_t tag)
{
    put(buf, tag, KT_TTLV_STRUCT, NULL, 0);
    return buf->nbytes;
}

void kt_ttlv_close(struct kt_secbuf *buf, size_t opened)
{
    if (!buf->failed)
        store_be32(buf->data + opened - 4, (uint32_t)(buf->nbytes - opened));
}

void kt_ttlv_int(struct kt_secbuf *buf, uint32_t tag, int32_t value)
{
    uint8_t bytes[4];
    store_be32(bytes, (uint32_t)value);
    put(buf, tag, KT_TTLV_INT, bytes, 4);
}

void kt_ttlv_enum(struct kt_secbuf *buf, uint32_t tag, uint32_t value)
{
    uint8_t bytes[4];
    store_be32(bytes, value);
    put(buf, tag, KT_TTLV_ENUM, bytes, 4);
}

void kt_ttlv_bool(struct kt_secbuf *buf, uint32_t tag, bool value)
{
    uint8_t bytes[8] = {[7] = value};
    put(buf, tag, KT_TTLV_BOOL, bytes, 8);
}

void kt_ttlv_text(struct kt_secbuf *buf, uint32_t tag, const char *text)
{
    put(buf, tag, KT_TTLV_TEXT, text, strlen(text));
}

void kt_ttlv_bytes(struct kt_secbuf *buf, uint32_t tag, struct kt_span bytes)
{
    put(buf, tag, KT_TTLV_BYTES, bytes.data, bytes.nbytes);
}

bool kt_ttlv_next(struct kt_span *in, struct kt_ttlv *element)
{
    if (in->nbytes < 8)
        return false;
    uint32_t head = load_be32(in->data);
    size_t nbytes = load_be32(in->data + 4), padding = (8 - nbytes % 8) % 8;
    if (nbytes > in->nbytes - 8 || padding > in->nbytes - 8 - nbytes)
        return false;
    *element = (struct kt_ttlv){head >> 8, head & 0xff, kt_span_of(in->data + 8, nbytes)};
    *in = kt_span_of(in->data + 8 + nbytes + padding, in->nbytes - 8 - nbytes - padding);
    return true;
}

bool kt_ttlv_find(struct kt_span in, const uint32_t *tags, size_t count, struct kt_ttlv *element)
{
    for (size_t i = 0; i < count; i++) {
        do {
            if (!kt_ttlv_next(&in, element))
                return false;
        } while (element->tag != tags[i]);
        in = element->value;
        if (i + 1 < count && element->type != KT_TTLV_STRUCT)
            return false;
    }
    return count > 0;
}

bool kt_ttlv_u32(const struct kt_ttlv *element, uint32_t *value)
{
    if ((element->type != KT_TTLV_INT && element->type != KT_TTLV_ENUM) || element->value.nbytes != 4)
        return false;
    *value = load_be32(element->value.data);
    return true;
}

size_t kt_ttlv_message_nbytes(const uint8_t head[8])
{
    if (head[0] != 0x42 || head[3] != KT_TTLV_STRUCT)
        return 0;
    size_t nbytes = load_be32(head + 4);
    return nbytes % 8 ? 0 : nbytes + 8;
}
