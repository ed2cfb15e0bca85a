/* SPDX-License-Identifier: Apache-2.0 */
/* Several requests in one KMIP message. [KMIP] OASIS KMIP 1.2, sections 6.4, 6.14, 7.2. */
#include "kms/kmip.h"
#include "kms/ttlv.h"

enum {
    TAG_BATCH_COUNT = 0x42000d,
    TAG_BATCH_ERRORS = 0x42000e,
    TAG_BATCH_ITEM = 0x42000f,
    TAG_RESULT_REASON = 0x42007e,
    TAG_VERSION = 0x420069,
    TAG_VERSION_MAJOR = 0x42006a,
    TAG_VERSION_MINOR = 0x42006b,
    TAG_REQUEST_HEADER = 0x420077,
    TAG_REQUEST = 0x420078,
    TAG_RESPONSE = 0x42007b,
    TAG_ITEM_ID = 0x420093,
};

#define REASON_INVALID_MESSAGE 4
#define BATCH_CONTINUE 1    /* one failure does not stop the items behind it */
#define OPERATION_NBYTES 16 /* a batch item begins with its Operation, an enumeration */

static void put_header(struct kt_secbuf *out, uint32_t minor, size_t count)
{
    size_t header = kt_ttlv_open(out, TAG_REQUEST_HEADER);
    size_t version = kt_ttlv_open(out, TAG_VERSION);
    kt_ttlv_int(out, TAG_VERSION_MAJOR, 1);
    kt_ttlv_int(out, TAG_VERSION_MINOR, (int32_t)minor);
    kt_ttlv_close(out, version);
    if (count > 1)
        kt_ttlv_enum(out, TAG_BATCH_ERRORS, BATCH_CONTINUE);
    kt_ttlv_int(out, TAG_BATCH_COUNT, (int32_t)count);
    kt_ttlv_close(out, header);
}

void kt_kmip_frame(struct kt_secbuf *out, uint32_t minor, const struct kt_span *items, size_t count)
{
    size_t request = kt_ttlv_open(out, TAG_REQUEST);
    put_header(out, minor, count);
    for (size_t i = 0; i < count; i++) {
        size_t item = kt_ttlv_open(out, TAG_BATCH_ITEM);
        kt_secbuf_put(out, items[i].data, OPERATION_NBYTES);
        if (count > 1)
            kt_ttlv_bytes(out, TAG_ITEM_ID, kt_span_of((uint8_t[]){(uint8_t)i}, 1));
        kt_secbuf_put(out, items[i].data + OPERATION_NBYTES, items[i].nbytes - OPERATION_NBYTES);
        kt_ttlv_close(out, item);
    }
    kt_ttlv_close(out, request);
}

bool kt_kmip_unframe(struct kt_span message, struct kt_span *items, size_t count)
{
    struct kt_ttlv element, id;
    struct kt_span first = {0};
    size_t seen = 0, named = 0;
    memset(items, 0, count * sizeof *items);
    if (!kt_ttlv_next(&message, &element) || element.tag != TAG_RESPONSE || element.type != KT_TTLV_STRUCT ||
        message.nbytes != 0)
        return false;
    for (struct kt_span rest = element.value; kt_ttlv_next(&rest, &element);) {
        if (element.tag != TAG_BATCH_ITEM || element.type != KT_TTLV_STRUCT)
            continue;
        if (seen++ == 0)
            first = element.value;
        if (count == 1 && seen == 1)
            items[0] = element.value;
        if (count == 1 || !kt_ttlv_find(element.value, (uint32_t[]){TAG_ITEM_ID}, 1, &id))
            continue;
        named++;
        if (id.value.nbytes == 1 && id.value.data[0] < count)
            items[id.value.data[0]] = element.value;
    }
    if (count > 1 && seen == 1 && named == 0)
        for (size_t i = 0; i < count; i++)
            items[i] = first;
    return seen > 0 && seen <= count;
}

bool kt_kmip_refuses_batch(struct kt_span item)
{
    struct kt_ttlv element;
    uint32_t reason;
    return kt_ttlv_find(item, (uint32_t[]){TAG_RESULT_REASON}, 1, &element) &&
           kt_ttlv_u32(&element, &reason) &&
           (reason == REASON_INVALID_MESSAGE || reason == 2 || reason == 5 || reason == 8);
}
