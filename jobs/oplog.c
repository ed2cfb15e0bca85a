/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/oplog.h"

#include <stdio.h>
#include <stdlib.h>

static enum kt_status check_entry(const struct kt_job *job, const bson_t *entry, int depth,
                                  struct kt_error *err);

/* {o: {applyOps: [entry, ...]}}: several operations, or a transaction, in one entry. */
static enum kt_status check_apply_ops(const struct kt_job *job, const bson_t *entry, int depth,
                                      struct kt_error *err)
{
    bson_iter_t iter, list, item;
    if (!bson_iter_init(&iter, entry) || !bson_iter_find_descendant(&iter, "o.applyOps", &list) ||
        !BSON_ITER_HOLDS_ARRAY(&list) || !bson_iter_recurse(&list, &item))
        return KT_OK;
    while (bson_iter_next(&item)) {
        const uint8_t *data;
        uint32_t nbytes;
        bson_t inner;
        if (!BSON_ITER_HOLDS_DOCUMENT(&item))
            continue;
        bson_iter_document(&item, &nbytes, &data);
        enum kt_status status =
            bson_init_static(&inner, data, nbytes) ? check_entry(job, &inner, depth + 1, err) : KT_OK;
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

static enum kt_status check_entry(const struct kt_job *job, const bson_t *entry, int depth,
                                  struct kt_error *err)
{
    bson_iter_t iter;
    uint32_t nbytes;
    if (depth > 8)
        return kt_fail(err, KT_E_FORMAT, "the oplog is nested too deeply");
    if (bson_iter_init_find(&iter, entry, "ns") && BSON_ITER_HOLDS_UTF8(&iter)) {
        const char *ns = bson_iter_utf8(&iter, &nbytes);
        if (kt_job_namespace(job, kt_span_of(ns, nbytes)))
            return kt_fail(
                err, KT_E_FORMAT,
                "the dump's oplog holds changes of %s, which a restore would replay over the result; "
                "dump without --oplog",
                ns);
    }
    return check_apply_ops(job, entry, depth, err);
}

static enum kt_status check_doc(const struct kt_job *job, const uint8_t *doc, size_t nbytes,
                                struct kt_error *err)
{
    bson_t entry;
    return bson_init_static(&entry, doc, nbytes) ? check_entry(job, &entry, 0, err) : KT_OK;
}

enum kt_status kt_oplog_check(const struct kt_job *job, struct kt_job_batch *batch)
{
    enum kt_status status = kt_job_batch_split(batch);
    for (size_t i = 0; i < batch->docs_count && status == KT_OK; i++)
        status = check_doc(job, batch->in.data + batch->docs[i].at, batch->docs[i].nbytes, &batch->error);
    return status;
}

static enum kt_status check_piece(const struct kt_job *job, const struct kt_region *docs, size_t nbytes,
                                  struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t at = 0; at < nbytes && status == KT_OK; at += kt_load_le32(docs->data + at))
        status = check_doc(job, docs->data + at, kt_load_le32(docs->data + at), err);
    /* Nothing is written yet. */
    return status == KT_E_FORMAT ? (err->status = KT_E_USAGE) : status;
}

static enum kt_status check_file(const struct kt_job *job, const char *file, struct kt_error *err)
{
    struct kt_source *source;
    struct kt_region docs = {0};
    struct kt_piece piece = {.kind = KT_PIECE_DOCS};
    enum kt_status status = kt_source_open(&source, file, NULL, err);
    if (status != KT_OK)
        return status;
    while (status == KT_OK && piece.kind != KT_PIECE_END) {
        status = kt_source_next(source, KT_BATCH_NBYTES, &docs, &piece, err);
        if (status == KT_OK && piece.kind == KT_PIECE_DOCS)
            status = check_piece(job, &docs, piece.nbytes, err);
    }
    kt_region_free(&docs);
    kt_source_close(source);
    return status;
}

enum kt_status kt_oplog_check_ahead(const struct kt_job *job, struct kt_error *err)
{
    const struct kt_entry *entry;
    enum kt_status status = KT_OK;
    if (kt_source_container(job->source) != KT_DIRECTORY || job->namespaces_count == 0)
        return KT_OK;
    for (uint32_t i = 0; status == KT_OK && (entry = kt_source_entry(job->source, i)); i++) {
        char *file = NULL;
        if (!entry->is_oplog)
            continue;
        if (asprintf(&file, "%s/%s", kt_source_name(job->source), entry->file) < 0)
            return kt_fail(err, KT_E_NOMEM, "memory ran out");
        status = check_file(job, file, err);
        free(file);
    }
    return status;
}
