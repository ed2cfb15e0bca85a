/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/fields.h"

static bool wanted(void *context, struct kt_job_batch *batch, struct kt_doc *doc, struct kt_op *op)
{
    struct kt_job *job = context;
    (void)batch;
    return !doc->failed && op->key != KT_NO_KEY && kt_key_table_state(job->table, op->key) == KT_KEY_READY;
}

static enum kt_status refused(void *context, struct kt_job_batch *batch, struct kt_doc *doc, uint32_t op,
                              enum kt_status why)
{
    (void)context;
    if (batch->ops.v[op].rule != KT_NO_RULE)
        batch->counts.paths[batch->ops.v[op].rule].unauthentic++;
    if (why == KT_E_FORMAT)
        return kt_batch_fail_doc(batch, doc, op, "it opens, but what is inside is no BSON value of its type");
    return kt_batch_fail_doc(batch, doc, op,
                             "it is not authentic: the value, its key id or its type was changed");
}

/* What cannot be opened at all fails its document before the engine runs; plaintext at a path stays. */
static enum kt_status judge(struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc, uint32_t at)
{
    const struct kt_op *op = &batch->ops.v[at];
    struct kt_path_counts *path = op->rule == KT_NO_RULE ? NULL : &batch->counts.paths[op->rule];
    struct kt_payload payload;
    bool broken = false;
    if (op->action != KT_KEEP)
        return KT_OK;
    if (!kt_op_payload(batch, op, &payload, &broken)) {
        if (broken)
            return kt_batch_fail_doc(batch, doc, at, "it looks encrypted, but its length cannot be right");
        if (path)
            path->plaintext++;
        return KT_OK;
    }
    if (kt_key_table_state(job->table, op->key) == KT_KEY_READY)
        return KT_OK;
    if (path)
        path->no_key++;
    return kt_fields_no_key(job, batch, doc, at);
}

static enum kt_status judge_all(struct kt_job *job, struct kt_job_batch *batch)
{
    for (size_t d = 0; d < batch->docs_count; d++) {
        struct kt_doc *doc = &batch->docs[d];
        for (uint32_t i = 0; i < doc->op_count && !doc->failed; i++) {
            enum kt_status status = judge(job, batch, doc, doc->op_first + i);
            if (status != KT_OK)
                return status;
        }
    }
    return KT_OK;
}

static void count_opened(struct kt_job_batch *batch)
{
    for (size_t d = 0; d < batch->docs_count; d++) {
        const struct kt_doc *doc = &batch->docs[d];
        for (uint32_t i = 0; i < doc->op_count && !doc->failed; i++) {
            const struct kt_op *op = &batch->ops.v[doc->op_first + i];
            if (op->action != KT_OPEN)
                continue;
            batch->counts.ns.values++;
            if (op->rule != KT_NO_RULE)
                batch->counts.paths[op->rule].authentic++;
        }
    }
}

static enum kt_status decrypt_process(struct kt_job *job, struct kt_worker *worker,
                                      struct kt_job_batch *batch, bool *parked)
{
    enum kt_status status = kt_fields_begin(job, worker, batch, false, parked);
    if (status != KT_OK || *parked)
        return status;
    struct kt_open_plan plan = {wanted, refused, job};
    status = judge_all(job, batch);
    if (status == KT_OK)
        status = kt_fields_open(worker, batch, &plan);
    if (status == KT_OK)
        status = kt_fields_lay_out(job, batch);
    count_opened(batch);
    return status;
}

const struct kt_command kt_command_decrypt = {.name = "decrypt", .writes = true, .process = decrypt_process};
