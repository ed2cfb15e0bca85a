/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "csfle/bson_type.h"
#include "csfle/key_doc.h"
#include "csfle/payload.h"

#define BINARY_HEAD 5
#define ELEMENT(name) (1 + sizeof name) /* type byte, name, NUL */

static size_t material_element_nbytes(size_t material_nbytes)
{
    return ELEMENT("keyMaterial") + BINARY_HEAD + material_nbytes;
}

size_t kt_key_doc_update_nbytes(const struct kt_key_doc *key, struct kt_span master_key,
                                size_t material_nbytes)
{
    return key->doc.nbytes - key->master_key_nbytes - key->key_material_nbytes + ELEMENT("masterKey") +
           master_key.nbytes + material_element_nbytes(material_nbytes);
}

/* What comes in the place of one element of the old document. */
struct edit {
    enum { MASTER, MATERIAL, UPDATE } what;
    uint32_t at, nbytes;
};

static void sort_by_place(struct edit *edits)
{
    for (int i = 0; i < 3; i++) {
        for (int j = i + 1; j < 3; j++) {
            if (edits[j].at < edits[i].at) {
                struct edit swapped = edits[i];
                edits[i] = edits[j];
                edits[j] = swapped;
            }
        }
    }
}

static uint8_t *put_head(uint8_t *to, uint8_t type, const char *name)
{
    size_t nbytes = strlen(name) + 1;
    *to = type;
    memcpy(to + 1, name, nbytes);
    return to + 1 + nbytes;
}

size_t kt_key_doc_update(const struct kt_key_doc *key, struct kt_span master_key, size_t material_nbytes,
                         int64_t update_ms, uint8_t *out, size_t *hole)
{
    struct edit edits[3] = {
        {MASTER, key->master_key_at, key->master_key_nbytes},
        {MATERIAL, key->key_material_at, key->key_material_nbytes},
        {UPDATE, key->update_at, key->update_nbytes},
    };
    sort_by_place(edits);
    const uint8_t *from = key->doc.data;
    uint8_t *to = out;
    for (int i = 0; i < 3; i++) {
        size_t run = (size_t)(key->doc.data + edits[i].at - from);
        memcpy(to, from, run);
        to += run;
        from += run + edits[i].nbytes;
        if (edits[i].what == MASTER) {
            to = put_head(to, KT_BSON_DOCUMENT, "masterKey");
            memcpy(to, master_key.data, master_key.nbytes);
            to += master_key.nbytes;
        } else if (edits[i].what == MATERIAL) {
            to = put_head(to, KT_BSON_BINARY, "keyMaterial");
            kt_store_le32(to, (uint32_t)material_nbytes);
            to[4] = 0;
            to += BINARY_HEAD;
            *hole = (size_t)(to - out);
            to += material_nbytes;
        } else {
            to = put_head(to, KT_BSON_DATE, "updateDate");
            kt_store_le64(to, (uint64_t)update_ms);
            to += 8;
        }
    }
    size_t rest = (size_t)(key->doc.data + key->doc.nbytes - from);
    memcpy(to, from, rest);
    to += rest;
    kt_store_le32(out, (uint32_t)(to - out));
    return (size_t)(to - out);
}

static enum kt_status append_head(struct kt_buf *out, uint8_t type, const char *name)
{
    enum kt_status status = kt_buf_append(out, &type, 1);
    return status == KT_OK ? kt_buf_append(out, name, strlen(name) + 1) : status;
}

static enum kt_status append_u32(struct kt_buf *out, uint32_t v)
{
    uint8_t bytes[4];
    kt_store_le32(bytes, v);
    return kt_buf_append(out, bytes, sizeof bytes);
}

static enum kt_status append_binary(struct kt_buf *out, const char *name, uint8_t subtype,
                                    struct kt_span bytes)
{
    enum kt_status status = append_head(out, KT_BSON_BINARY, name);
    if (status == KT_OK)
        status = append_u32(out, (uint32_t)bytes.nbytes);
    if (status == KT_OK)
        status = kt_buf_append(out, &subtype, 1);
    return status == KT_OK ? kt_buf_append(out, bytes.data, bytes.nbytes) : status;
}

static enum kt_status append_date(struct kt_buf *out, const char *name, int64_t ms)
{
    uint8_t bytes[8];
    kt_store_le64(bytes, (uint64_t)ms);
    enum kt_status status = append_head(out, KT_BSON_DATE, name);
    return status == KT_OK ? kt_buf_append(out, bytes, sizeof bytes) : status;
}

static enum kt_status append_string(struct kt_buf *out, const char *name, struct kt_span text)
{
    enum kt_status status = append_head(out, KT_BSON_STRING, name);
    if (status == KT_OK)
        status = append_u32(out, (uint32_t)text.nbytes + 1);
    if (status == KT_OK)
        status = kt_buf_append(out, text.data, text.nbytes);
    return status == KT_OK ? kt_buf_append(out, "", 1) : status;
}

static enum kt_status append_alt_names(struct kt_buf *out, const struct kt_key_doc_new *key)
{
    if (key->alt_names_count == 0)
        return KT_OK;
    enum kt_status status = append_head(out, KT_BSON_ARRAY, "keyAltNames");
    size_t begin = out->nbytes;
    if (status == KT_OK)
        status = append_u32(out, 0);
    for (size_t i = 0; i < key->alt_names_count && status == KT_OK; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        status = append_string(out, number, key->alt_names[i]);
    }
    if (status == KT_OK)
        status = kt_buf_append(out, "", 1);
    if (status == KT_OK)
        kt_store_le32(out->data + begin, (uint32_t)(out->nbytes - begin));
    return status;
}

static enum kt_status append_fields(struct kt_buf *out, const struct kt_key_doc_new *key)
{
    enum kt_status status = append_binary(out, "_id", 4, kt_span_of(key->id, KT_UUID_NBYTES));
    if (status == KT_OK)
        status = append_alt_names(out, key);
    if (status == KT_OK)
        status = append_binary(out, "keyMaterial", 0, key->key_material);
    if (status == KT_OK)
        status = append_date(out, "creationDate", key->now_ms);
    if (status == KT_OK)
        status = append_date(out, "updateDate", key->now_ms);
    if (status == KT_OK)
        status = append_head(out, KT_BSON_INT32, "status");
    if (status == KT_OK)
        status = append_u32(out, 0);
    if (status == KT_OK)
        status = append_head(out, KT_BSON_DOCUMENT, "masterKey");
    return status == KT_OK ? kt_buf_append(out, key->master_key.data, key->master_key.nbytes) : status;
}

enum kt_status kt_key_doc_build(const struct kt_key_doc_new *key, struct kt_buf *out)
{
    size_t begin = out->nbytes;
    enum kt_status status = append_u32(out, 0);
    if (status == KT_OK)
        status = append_fields(out, key);
    if (status == KT_OK)
        status = kt_buf_append(out, "", 1);
    if (status != KT_OK) {
        out->nbytes = begin;
        return status;
    }
    kt_store_le32(out->data + begin, (uint32_t)(out->nbytes - begin));
    return KT_OK;
}
