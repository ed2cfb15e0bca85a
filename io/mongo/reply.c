/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/reply.h"

#define FIGURE_MAX 1e15

bool kt_reply_is_ok(const bson_t *reply)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, reply, "ok") && bson_iter_as_bool(&iter);
}

bool kt_reply_view(const bson_iter_t *iter, bson_t *view)
{
    uint32_t nbytes;
    const uint8_t *data;
    if (BSON_ITER_HOLDS_DOCUMENT(iter))
        bson_iter_document(iter, &nbytes, &data);
    else if (BSON_ITER_HOLDS_ARRAY(iter))
        bson_iter_array(iter, &nbytes, &data);
    else
        return false;
    return bson_init_static(view, data, nbytes);
}

uint64_t kt_reply_figure(const bson_t *reply, const char *dotted)
{
    bson_iter_t iter, at;
    if (!bson_iter_init(&iter, reply) || !bson_iter_find_descendant(&iter, dotted, &at))
        return 0;
    double value = bson_iter_as_double(&at);
    return value > FIGURE_MAX ? (uint64_t)FIGURE_MAX : value > 0 ? (uint64_t)value : 0;
}

/* After its last element: whether that was the document's end. */
static bool is_at_end(const bson_iter_t *iter, const bson_t *doc)
{
    return iter->err_off == 0 && iter->off + 1 == doc->len;
}

static bool is_whole(const bson_t *doc)
{
    bson_iter_t iter;
    if (!bson_iter_init(&iter, doc))
        return false;
    while (bson_iter_next(&iter))
        ;
    return is_at_end(&iter, doc);
}

static bool count_documents(struct kt_reply_batch *batch, const bson_t *list)
{
    bson_iter_t iter;
    bson_t doc;
    if (!bson_iter_init(&iter, list))
        return false;
    for (; bson_iter_next(&iter); batch->count++) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&iter) || !kt_reply_view(&iter, &doc))
            return false;
        batch->nbytes += doc.len;
    }
    return is_at_end(&iter, list);
}

static bool read_cursor(struct kt_reply_batch *batch, const bson_t *cursor)
{
    bson_iter_t iter;
    bson_t list;
    if (!bson_iter_init_find(&iter, cursor, "id") || !BSON_ITER_HOLDS_INT(&iter))
        return false;
    batch->cursor = bson_iter_as_int64(&iter);
    if (bson_iter_init_find(&iter, cursor, "ns") && BSON_ITER_HOLDS_UTF8(&iter))
        batch->ns = bson_iter_utf8(&iter, NULL);
    if (!bson_iter_init_find(&iter, cursor, "firstBatch") && !bson_iter_init_find(&iter, cursor, "nextBatch"))
        return false;
    return BSON_ITER_HOLDS_ARRAY(&iter) && kt_reply_view(&iter, &list) && count_documents(batch, &list) &&
           bson_iter_init(&batch->docs, &list);
}

bool kt_reply_batch_open(struct kt_reply_batch *batch, const bson_t *reply)
{
    bson_iter_t iter;
    bson_t cursor;
    *batch = (struct kt_reply_batch){0};
    return is_whole(reply) && bson_iter_init_find(&iter, reply, "cursor") &&
           BSON_ITER_HOLDS_DOCUMENT(&iter) && kt_reply_view(&iter, &cursor) && is_whole(&cursor) &&
           read_cursor(batch, &cursor);
}

bool kt_reply_batch_next(struct kt_reply_batch *batch, bson_t *doc)
{
    return bson_iter_next(&batch->docs) && kt_reply_view(&batch->docs, doc);
}
