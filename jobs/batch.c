/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/batch.h"

#include <stdlib.h>

#include "common/array.h"
#include "common/secmem.h"

/* Above this much a region is given back before the batch is used again: one huge document must not keep its
 * memory for the rest of the job. */
#define REGION_KEEP_NBYTES (4 * KT_BATCH_NBYTES)

enum kt_status kt_job_batch_init(struct kt_job_batch *batch, size_t rules_max)
{
    *batch = (struct kt_job_batch){0};
    bson_init(&batch->position);
    return kt_counts_init(&batch->counts, rules_max);
}

void kt_job_batch_free(struct kt_job_batch *batch)
{
    bson_destroy(&batch->position);
    kt_region_free(&batch->in);
    kt_region_free(&batch->out);
    kt_region_free(&batch->opened);
    free(batch->docs);
    kt_ops_free(&batch->ops);
    free(batch->msgs);
    free(batch->msg_ops);
    free(batch->handles);
    kt_counts_free(&batch->counts);
    kt_buf_free(&batch->failures);
}

void kt_job_batch_clear(struct kt_job_batch *batch)
{
    kt_region_trim(&batch->in, REGION_KEEP_NBYTES);
    kt_region_trim(&batch->out, REGION_KEEP_NBYTES);
    kt_region_trim(&batch->opened, REGION_KEEP_NBYTES);
    bson_reinit(&batch->position);
    kt_counts_clear(&batch->counts);
    batch->failures.nbytes = 0;
    batch->docs_count = batch->ops.count = batch->msgs_count = batch->handles_count = 0;
    batch->planned = false;
    batch->ns = NULL;
    batch->entry = NULL;
    batch->result = (struct kt_span){0};
    batch->status = KT_OK;
}

enum kt_status kt_job_batch_split(struct kt_job_batch *batch)
{
    uint32_t at = 0, end = (uint32_t)batch->piece.nbytes;
    while (at < end) {
        enum kt_status status =
            kt_array_reserve(&batch->docs, &batch->docs_capacity, batch->docs_count + 1, sizeof *batch->docs);
        if (status != KT_OK)
            return status;
        uint32_t nbytes = kt_load_le32(batch->in.data + at);
        batch->docs[batch->docs_count++] = (struct kt_doc){.at = at, .nbytes = nbytes};
        at += nbytes;
    }
    return KT_OK;
}

enum kt_status kt_job_batch_add_handle(struct kt_job_batch *batch, uint32_t handle)
{
    if (batch->handles_count && batch->handles[batch->handles_count - 1] == handle)
        return KT_OK;
    enum kt_status status = kt_array_reserve(&batch->handles, &batch->handles_capacity,
                                             batch->handles_count + 1, sizeof *batch->handles);
    if (status == KT_OK)
        batch->handles[batch->handles_count++] = handle;
    return status;
}

enum kt_status kt_job_batch_reserve_msgs(struct kt_job_batch *batch, size_t count)
{
    size_t capacity = batch->msgs_capacity;
    enum kt_status status = kt_array_reserve(&batch->msg_ops, &capacity, count, sizeof *batch->msg_ops);
    if (status == KT_OK)
        status = kt_array_reserve(&batch->msgs, &batch->msgs_capacity, count, sizeof *batch->msgs);
    return status;
}
