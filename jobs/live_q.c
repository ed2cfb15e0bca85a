/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/live_q.h"

#include <string.h>

#include "csfle/bson_cursor.h"
#include "csfle/bson_type.h"
#include "csfle/walk.h"

/* {_id: {"$ref": ...}} would be read as an operator. */
static bool begins_with_dollar(uint8_t type, struct kt_span value)
{
    return type == KT_BSON_DOCUMENT && value.nbytes > 6 && value.data[5] == '$';
}

/* The value at a dotted path, through embedded documents alone: a shard key leads through no array. */
static bool value_at(struct kt_span doc, const char *path, struct kt_element *found)
{
    char name[1024];
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        if ((size_t)(dot - path) >= sizeof name)
            return false;
        memcpy(name, path, (size_t)(dot - path));
        name[dot - path] = 0;
        if (!kt_bson_find(doc, name, found) || found->type != KT_BSON_DOCUMENT)
            return false;
        doc = found->value;
    }
    return kt_bson_find(doc, path, found);
}

/* The document's value of a shard key's field, when {FIELD: value} means equality. */
static bool take_field(const struct kt_live_q *q, const char *path, struct kt_element *found)
{
    if (strcmp(path, "_id") == 0 || strncmp(path, "_id.", 4) == 0 || !value_at(q->doc, path, found))
        return false;
    return found->type != KT_BSON_ARRAY && found->type != KT_BSON_REGEX && found->type != KT_BSON_UNDEFINED &&
           !begins_with_dollar(found->type, found->value);
}

bool kt_live_q_measure(struct kt_live_q *q, const bson_t *shard_key, struct kt_span doc)
{
    bson_iter_t field;
    struct kt_element value;
    *q = (struct kt_live_q){.shard_key = shard_key, .doc = doc};
    q->id_type = kt_doc_id(doc.data, 0, &q->id);
    if (q->id_type == 0 || q->id_type == KT_BSON_UNDEFINED)
        return false;
    /* 4 + type + "_id\0" + X + 1; quoted: another document with "$eq\0" around X. */
    q->nbytes = 4 + 1 + 4 + q->id.nbytes + 1;
    q->nbytes += begins_with_dollar(q->id_type, q->id) ? 4 + 1 + 4 + 1 : 0;
    if (!bson_iter_init(&field, shard_key))
        return true;
    while (bson_iter_next(&field)) {
        if (take_field(q, bson_iter_key(&field), &value))
            q->nbytes += 1 + strlen(bson_iter_key(&field)) + 1 + value.value.nbytes;
    }
    return true;
}

static uint32_t put(uint8_t *out, uint32_t at, uint8_t type, const char *name, struct kt_span value)
{
    size_t name_nbytes = strlen(name) + 1;
    out[at++] = type;
    memcpy(out + at, name, name_nbytes);
    at += (uint32_t)name_nbytes;
    if (value.nbytes)
        memcpy(out + at, value.data, value.nbytes);
    return at + (uint32_t)value.nbytes;
}

static uint32_t put_end(uint8_t *out, uint32_t document, uint32_t at)
{
    out[at++] = 0;
    kt_store_le32(out + document, at - document);
    return at;
}

uint32_t kt_live_q_write(const struct kt_live_q *q, uint8_t *out, uint32_t at)
{
    uint32_t document = at;
    bson_iter_t field;
    struct kt_element value;
    if (begins_with_dollar(q->id_type, q->id)) {
        uint32_t eq = put(out, at + 4, KT_BSON_DOCUMENT, "_id", kt_span_of(NULL, 0));
        at = put_end(out, eq, put(out, eq + 4, q->id_type, "$eq", q->id));
    } else
        at = put(out, at + 4, q->id_type, "_id", q->id);
    bool more = bson_iter_init(&field, q->shard_key);
    while (more && bson_iter_next(&field)) {
        if (take_field(q, bson_iter_key(&field), &value))
            at = put(out, at, value.type, bson_iter_key(&field), value.value);
    }
    return put_end(out, document, at);
}
