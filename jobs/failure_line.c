/* SPDX-License-Identifier: Apache-2.0 */
/* One failed document as a line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/job.h"

/* {"_id": value} as a document of its own, so that libbson can print it. false: no _id. */
static bool id_document(const uint8_t *arena, const struct kt_doc *doc, bson_t *out)
{
    struct kt_span value;
    uint8_t type = kt_doc_id(arena, doc->at, &value);
    if (!type)
        return false;
    struct kt_buf raw = {0};
    uint8_t head[9] = {0, 0, 0, 0, type, '_', 'i', 'd', 0};
    kt_store_le32(head, (uint32_t)(sizeof head + value.nbytes + 1));
    bool ok = kt_buf_append(&raw, head, sizeof head) == KT_OK &&
              kt_buf_append(&raw, value.data, value.nbytes) == KT_OK && kt_buf_append(&raw, "", 1) == KT_OK;
    bson_t view;
    ok = ok && bson_init_static(&view, raw.data, raw.nbytes);
    if (ok)
        bson_copy_to(&view, out);
    kt_buf_free(&raw);
    return ok;
}

/* Names and strings on servers may hold any bytes, lines are UTF-8. For bson_free; NULL when memory ran out.
 */
static char *legible(const char *text, size_t nbytes)
{
    static const char hex[] = "0123456789abcdef";
    char *out = bson_malloc(4 * nbytes + 1), *at = out;
    for (size_t i = 0; i < nbytes; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (byte < 0x80) {
            *at++ = (char)byte;
            continue;
        }
        memcpy(at, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
        at += 4;
    }
    *at = 0;
    return out;
}

/* The value of {"_id": value} for people, for bson_free. NULL: no text can be made of it. */
static char *id_text(const bson_t *id, const bson_iter_t *value)
{
    char hex[25];
    if (BSON_ITER_HOLDS_OID(value)) {
        bson_oid_to_string(bson_iter_oid(value), hex);
        return bson_strdup(hex);
    }
    char *json = bson_as_relaxed_extended_json(id, NULL);
    if (json) {
        /* { "_id" : X } */
        size_t n = strlen(json);
        char *text = bson_strndup(json + 10, n > 12 ? n - 12 : 0);
        bson_free(json);
        return text;
    }
    uint32_t nbytes;
    const char *text = BSON_ITER_HOLDS_UTF8(value) ? bson_iter_utf8(value, &nbytes) : NULL;
    return text ? legible(text, nbytes) : NULL;
}

void kt_doc_id_text(const uint8_t *arena, const struct kt_doc *doc, char *out, size_t nbytes)
{
    bson_t id;
    bson_iter_t value;
    if (!id_document(arena, doc, &id)) {
        snprintf(out, nbytes, "(none)");
        return;
    }
    char *text = bson_iter_init_find(&value, &id, "_id") ? id_text(&id, &value) : NULL;
    snprintf(out, nbytes, "%s", text ? text : "(not UTF-8)");
    bson_free(text);
    bson_destroy(&id);
}

static bool append_text(bson_t *line, const char *key, const char *text, size_t nbytes)
{
    if (bson_utf8_validate(text, nbytes, true))
        return bson_append_utf8(line, key, -1, text, (int)nbytes);
    char *escaped = legible(text, nbytes);
    bool ok = BSON_APPEND_UTF8(line, key, escaped);
    bson_free(escaped);
    return ok;
}

/* Whether --only will read the same _id from JSON: not a NaN with a payload, nor {"$oid": 1}, nor other bytes
 * than UTF-8. */
static bool survives_json(const bson_t *id, const bson_iter_t *value)
{
    if (BSON_ITER_HOLDS_OID(value) || BSON_ITER_HOLDS_INT32(value) || BSON_ITER_HOLDS_INT64(value))
        return true;
    char *json = bson_as_canonical_extended_json(id, NULL);
    bson_t *back = json ? bson_new_from_json((const uint8_t *)json, -1, NULL) : NULL;
    bool same = back && bson_equal(back, id);
    bson_destroy(back);
    bson_free(json);
    return same;
}

/* An _id that JSON cannot hold stands as text, and beside it as BSON: {"_id": value}. */
static bool append_id(bson_t *line, const bson_t *id)
{
    bson_iter_t value;
    if (!bson_iter_init_find(&value, id, "_id"))
        return false;
    if (survives_json(id, &value))
        return bson_append_iter(line, "_id", -1, &value);
    char *text = id_text(id, &value);
    const char *shown = text ? text : "(not UTF-8)";
    bool ok = append_text(line, "_id", shown, strlen(shown)) &&
              BSON_APPEND_BINARY(line, "idBson", BSON_SUBTYPE_BINARY, bson_get_data(id), id->len);
    bson_free(text);
    return ok;
}

static enum kt_status append_line(struct kt_job_batch *batch, const struct kt_doc *doc, uint32_t op,
                                  const char *fmt, va_list args)
{
    bson_t line, id;
    char path[1024] = "", reason[512];
    vsnprintf(reason, sizeof reason, fmt, args);
    if (op != KT_NO_OP)
        kt_op_path(batch->in.data, &batch->ops, doc->op_first, op, path, sizeof path);
    bson_init(&line);
    bool ok = append_text(&line, "ns", batch->ns->name, strlen(batch->ns->name));
    if (ok && id_document(batch->in.data, doc, &id)) {
        ok = append_id(&line, &id);
        bson_destroy(&id);
    }
    if (ok && op != KT_NO_OP)
        ok = append_text(&line, "path", path, strlen(path));
    ok = ok && append_text(&line, "reason", reason, strlen(reason));
    size_t nbytes = 0;
    char *json = ok ? bson_as_canonical_extended_json(&line, &nbytes) : NULL;
    enum kt_status status = json ? kt_buf_append(&batch->failures, json, nbytes) : KT_E_NOMEM;
    if (status == KT_OK)
        status = kt_buf_append(&batch->failures, "\n", 1);
    bson_free(json);
    bson_destroy(&line);
    return status;
}

enum kt_status kt_batch_note(struct kt_job_batch *batch, const struct kt_doc *doc, uint32_t op,
                             const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enum kt_status status = append_line(batch, doc, op, fmt, args);
    va_end(args);
    return status;
}

enum kt_status kt_batch_fail_doc(struct kt_job_batch *batch, struct kt_doc *doc, uint32_t op, const char *fmt,
                                 ...)
{
    if (doc->failed)
        return KT_OK;
    doc->failed = true;
    va_list args;
    va_start(args, fmt);
    enum kt_status status = append_line(batch, doc, op, fmt, args);
    va_end(args);
    return status;
}
