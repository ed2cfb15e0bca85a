/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what archive_source.c reads: the list of collections as it is, segments where the source had them,
 * and checksums of what is written. */
#include <stdlib.h>

#include "io/file/archive_prelude.h"
#include "io/file/crc64.h"
#include "io/file/sink.h"

struct written {
    uint64_t crc;
    bool open; /* has begun and not ended */
};

struct archive_sink {
    struct kt_sink base;
    struct written *namespaces; /* one per entry */
    uint32_t n;
    int64_t current; /* entry whose segment is open; -1: none */
    struct kt_buf header;
};

size_t kt_archive_sink_size(void)
{
    return sizeof(struct archive_sink);
}

static enum kt_status memory_ran_out(const struct kt_sink *sink, struct kt_error *err)
{
    return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", sink->label);
}

static enum kt_status fit(struct archive_sink *a, uint32_t entry, struct kt_error *err)
{
    if (entry < a->n)
        return KT_OK;
    uint32_t n = entry < 8 ? 16 : entry * 2;
    struct written *more = realloc(a->namespaces, n * sizeof *more);
    if (!more)
        return memory_ran_out(&a->base, err);
    memset(more + a->n, 0, (n - a->n) * sizeof *more);
    a->namespaces = more;
    a->n = n;
    return KT_OK;
}

static enum kt_status archive_begin(struct kt_sink *sink, struct kt_error *err)
{
    ((struct archive_sink *)sink)->current = -1;
    enum kt_status status = kt_lone_sink.begin(sink, err);
    return status == KT_OK ? kt_output_write(sink->out, kt_archive_prelude(sink->like), err) : status;
}

/* The terminator that is due, then the header. */
static enum kt_status write_header(struct archive_sink *a, const struct kt_file_entry *entry, bool eof,
                                   uint64_t crc, struct kt_error *err)
{
    static const uint8_t terminator[4] = {0xff, 0xff, 0xff, 0xff};
    struct kt_archive_header h = {entry->db, entry->collection, eof, true, (int64_t)crc};
    a->header.nbytes = 0;
    bool ok = a->current < 0 || kt_buf_append(&a->header, terminator, 4) == KT_OK;
    ok = ok && kt_archive_header_append(&a->header, &h);
    ok = ok && (!eof || kt_buf_append(&a->header, terminator, 4) == KT_OK);
    if (!ok)
        return memory_ran_out(&a->base, err);
    return kt_output_write(a->base.out, kt_span_of(a->header.data, a->header.nbytes), err);
}

static enum kt_status archive_put(struct kt_sink *sink, const struct kt_file_entry *entry,
                                  const struct kt_piece *piece, struct kt_span bytes, struct kt_error *err)
{
    struct archive_sink *a = (struct archive_sink *)sink;
    enum kt_status status = fit(a, piece->entry, err);
    if (status != KT_OK)
        return status;
    struct written *ns = &a->namespaces[piece->entry];
    if (piece->segment || (bytes.nbytes > 0 && a->current != piece->entry)) {
        status = write_header(a, entry, false, 0, err);
        a->current = piece->entry;
        ns->open = true;
    }
    if (status == KT_OK)
        status = kt_output_write(sink->out, bytes, err);
    ns->crc = kt_crc64(ns->crc, bytes.data, bytes.nbytes);
    if (status == KT_OK && piece->closes) {
        status = write_header(a, entry, true, ns->crc, err);
        a->current = -1;
        ns->open = false;
    }
    return status;
}

static enum kt_status archive_save(struct kt_sink *sink, bson_t *position, struct kt_error *err)
{
    struct archive_sink *a = (struct archive_sink *)sink;
    enum kt_status status = kt_single_save(sink, position, err);
    if (status != KT_OK)
        return status;
    bson_t open, one;
    bool ok = BSON_APPEND_INT64(position, "current", a->current) &&
              BSON_APPEND_ARRAY_BEGIN(position, "open", &open);
    for (uint32_t i = 0; ok && i < a->n; i++)
        if (a->namespaces[i].open)
            ok = BSON_APPEND_DOCUMENT_BEGIN(&open, "", &one) && BSON_APPEND_INT64(&one, "entry", i) &&
                 BSON_APPEND_INT64(&one, "crc", (int64_t)a->namespaces[i].crc) &&
                 bson_append_document_end(&open, &one);
    ok = ok && bson_append_array_end(position, &open);
    return ok ? KT_OK : memory_ran_out(sink, err);
}

static enum kt_status archive_resume(struct kt_sink *sink, bson_iter_t *position, struct kt_error *err)
{
    struct archive_sink *a = (struct archive_sink *)sink;
    bson_iter_t start = *position, open;
    a->current = kt_position_int(position, "current", -1);
    bool ok =
        bson_iter_recurse(&start, &open) && bson_iter_find(&open, "open") && BSON_ITER_HOLDS_ARRAY(&open);
    bson_iter_t list = open;
    ok = ok && bson_iter_recurse(&open, &list);
    while (ok && bson_iter_next(&list)) {
        int64_t entry = kt_position_int(&list, "entry", -1);
        if (entry < 0 || entry >= KT_ENTRIES_MAX)
            return kt_fail(err, KT_E_OTHER_JOB, "%s: its checkpoint does not fit an archive", sink->label);
        enum kt_status status = fit(a, (uint32_t)entry, err);
        if (status != KT_OK)
            return status;
        a->namespaces[entry].open = true;
        a->namespaces[entry].crc = (uint64_t)kt_position_int(&list, "crc", 0);
    }
    return kt_single_resume(sink, position, err);
}

static enum kt_status archive_finish(struct kt_sink *sink, struct kt_error *err)
{
    struct archive_sink *a = (struct archive_sink *)sink;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->namespaces[i].open)
            return kt_fail(err, KT_E_INTERNAL, "%s: a namespace is not complete", sink->label);
    return kt_single_finish(sink, err);
}

static void archive_close(struct kt_sink *sink)
{
    struct archive_sink *a = (struct archive_sink *)sink;
    free(a->namespaces);
    kt_buf_free(&a->header);
}

const struct kt_sink_kind kt_archive_sink = {archive_begin,  archive_put,    archive_save,
                                             archive_resume, archive_finish, archive_close};
