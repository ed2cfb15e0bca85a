/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/oplog.h"

static enum kt_status check_entry(const struct kt_job *job, struct kt_job_batch *batch, const bson_t *entry,
                                  int depth);

/* {o: {applyOps: [entry, ...]}}: several operations, or a transaction, in one entry. */
static enum kt_status check_apply_ops(const struct kt_job *job, struct kt_job_batch *batch,
                                      const bson_t *entry, int depth)
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
            bson_init_static(&inner, data, nbytes) ? check_entry(job, batch, &inner, depth + 1) : KT_OK;
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

static enum kt_status check_entry(const struct kt_job *job, struct kt_job_batch *batch, const bson_t *entry,
                                  int depth)
{
    bson_iter_t iter;
    uint32_t nbytes;
    if (depth > 8)
        return kt_fail(&batch->error, KT_E_FORMAT, "the oplog is nested too deeply");
    if (bson_iter_init_find(&iter, entry, "ns") && BSON_ITER_HOLDS_UTF8(&iter)) {
        const char *ns = bson_iter_utf8(&iter, &nbytes);
        if (kt_job_namespace(job, kt_span_of(ns, nbytes)))
            return kt_fail(
                &batch->error, KT_E_FORMAT,
                "the dump's oplog holds changes of %s, which a restore would replay over the result; "
                "dump without --oplog",
                ns);
    }
    return check_apply_ops(job, batch, entry, depth);
}

enum kt_status kt_oplog_check(const struct kt_job *job, struct kt_job_batch *batch)
{
    enum kt_status status = kt_job_batch_split(batch);
    for (size_t i = 0; i < batch->docs_count && status == KT_OK; i++) {
        bson_t entry;
        const struct kt_doc *doc = &batch->docs[i];
        if (bson_init_static(&entry, batch->in.data + doc->at, doc->nbytes))
            status = check_entry(job, batch, &entry, 0);
    }
    return status;
}
