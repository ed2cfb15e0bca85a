/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/fields.h"

#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "csfle/payload.h"
#include "jobs/crypt.h"
#include "jobs/only.h"

static enum kt_status broken_document(struct kt_job_batch *batch, const struct kt_doc *doc,
                                      const struct kt_walk_fault *fault)
{
    return kt_fail(&batch->error, KT_E_FORMAT,
                   "%s%s%s: the document at byte %llu is broken at its byte %u: %s", batch->ns->name,
                   *batch->entry->file ? " in " : "", batch->entry->file,
                   (unsigned long long)(batch->piece.at + doc->at), fault->at - doc->at, fault->what);
}

enum kt_status kt_fields_key_outage(const struct kt_job *job, struct kt_job_batch *batch, uint32_t key)
{
    const char *why;
    enum kt_status status = key == KT_NO_KEY ? KT_OK : kt_key_table_failure(job->table, key, &why);
    return kt_job_ends_with(status) ? kt_fail(&batch->error, status, "%s", why) : KT_OK;
}

enum kt_status kt_fields_no_key(const struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc,
                                uint32_t op)
{
    const char *why;
    uint32_t key = batch->ops.v[op].key;
    enum kt_status status = kt_fields_key_outage(job, batch, key);
    if (status != KT_OK)
        return status;
    kt_key_table_failure(job->table, key, &why);
    return kt_batch_fail_doc(batch, doc, op, "%s", why);
}

bool kt_op_payload(const struct kt_job_batch *batch, const struct kt_op *op, struct kt_payload *payload,
                   bool *broken)
{
    struct kt_span value = kt_span_of(batch->in.data + op->value, op->value_nbytes);
    return kt_payload_parse(op->type, value, payload, broken);
}

/* The key that the schema wants for this op. */
static enum kt_status rule_key(struct kt_job *job, const struct kt_worker *worker, struct kt_job_batch *batch,
                               struct kt_op *op)
{
    const struct kt_rule *rule = kt_schema_rule(batch->ns->schema, op->rule);
    if (rule->pointer == KT_NO_POINTER) {
        op->key = batch->ns->rule_keys[op->rule];
        return KT_OK;
    }
    struct kt_span name = worker->pointers.v[rule->pointer];
    if (!name.data)
        return KT_OK;
    enum kt_status status = kt_key_table_by_name(job->table, name, &op->key);
    return status == KT_OK ? kt_job_batch_add_handle(batch, op->key) : status;
}

/* The key that the payload itself names. */
static enum kt_status payload_key(struct kt_job *job, struct kt_job_batch *batch, struct kt_op *op)
{
    struct kt_payload payload;
    if (!kt_op_payload(batch, op, &payload, NULL))
        return KT_OK;
    enum kt_status status = kt_key_table_by_id(job->table, payload.key_id, &op->key);
    return status == KT_OK ? kt_job_batch_add_handle(batch, op->key) : status;
}

static enum kt_status plan_doc(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                               struct kt_doc *doc, bool rule_keys)
{
    struct kt_walk_fault fault = {0};
    const struct kt_schema *schema = batch->ns->schema;
    enum kt_status status;
    doc->op_first = (uint32_t)batch->ops.count;
    if (schema)
        status = kt_walk_schema(schema, batch->in.data, doc->at, doc->nbytes, &batch->ops, &worker->pointers,
                                &fault);
    else
        status = kt_walk_payloads(batch->in.data, doc->at, doc->nbytes, &batch->ops, &fault);
    if (status == KT_E_FORMAT && fault.content)
        return kt_batch_fail_doc(batch, doc, KT_NO_OP, "at its byte %u: %s", fault.at - doc->at, fault.what);
    if (status == KT_E_FORMAT)
        return broken_document(batch, doc, &fault);
    if (job->only && status == KT_OK && !kt_only_has(job->only, batch->ns->name, batch->in.data, doc))
        batch->ops.count = doc->op_first;
    doc->op_count = (uint32_t)batch->ops.count - doc->op_first;
    for (uint32_t i = 0; i < doc->op_count && status == KT_OK; i++) {
        struct kt_op *op = &batch->ops.v[doc->op_first + i];
        if (op->action == KT_FRAME)
            continue;
        status = rule_keys ? rule_key(job, worker, batch, op) : payload_key(job, batch, op);
    }
    return status;
}

static enum kt_status plan_all(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                               bool rule_keys)
{
    enum kt_status status = kt_job_batch_split(batch);
    for (size_t i = 0; i < batch->docs_count && status == KT_OK; i++)
        status = plan_doc(job, worker, batch, &batch->docs[i], rule_keys);
    batch->counts.ns.documents = batch->docs_count;
    batch->planned = true;
    return status;
}

enum kt_status kt_fields_begin(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                               bool rule_keys, bool *parked)
{
    if (batch->planned)
        return KT_OK;
    bool settled = true;
    enum kt_status status = plan_all(job, worker, batch, rule_keys);
    if (status == KT_OK && batch->handles_count)
        status = kt_key_table_settle(job->table, worker->engine, batch->handles, batch->handles_count,
                                     &batch->waiter, &settled, &batch->error);
    *parked = !settled;
    return status;
}

static enum kt_status open_message(struct kt_job_batch *batch, uint32_t op_index, uint32_t *opened_at)
{
    struct kt_op *op = &batch->ops.v[op_index];
    struct kt_payload payload;
    if (!kt_op_payload(batch, op, &payload, NULL))
        return KT_OK;
    enum kt_status status = kt_job_batch_reserve_msgs(batch, batch->msgs_count + 1);
    if (status != KT_OK)
        return status;
    batch->msg_ops[batch->msgs_count] = op_index;
    batch->msgs[batch->msgs_count++] = (struct kt_msg){.in = (uint32_t)(payload.sealed.data - batch->in.data),
                                                       .in_nbytes = (uint32_t)payload.sealed.nbytes,
                                                       .out = *opened_at,
                                                       .key = op->key,
                                                       .aad_nbytes = KT_PAYLOAD_AAD_NBYTES};
    op->hole = *opened_at;
    *opened_at += (uint32_t)payload.sealed.nbytes - 48;
    return KT_OK;
}

/* After the engine: op becomes OPEN when its value is whole. */
static enum kt_status settle_opened(struct kt_job_batch *batch, const struct kt_open_plan *plan,
                                    struct kt_doc *doc, const struct kt_msg *msg, uint32_t op_index)
{
    struct kt_op *op = &batch->ops.v[op_index];
    struct kt_payload payload;
    enum kt_status why = (enum kt_status)msg->status;
    kt_op_payload(batch, op, &payload, NULL);
    if (why == KT_OK) {
        struct kt_span value = kt_span_of(batch->opened.data + op->hole, msg->out_nbytes);
        why = kt_bson_check_value(payload.type, value);
    }
    if (why != KT_OK)
        return plan->refused(plan->context, batch, doc, op_index, why);
    op->action = KT_OPEN;
    op->type = payload.type;
    op->opened_nbytes = msg->out_nbytes;
    return KT_OK;
}

enum kt_status kt_fields_open(struct kt_worker *worker, struct kt_job_batch *batch,
                              const struct kt_open_plan *plan)
{
    uint32_t opened_at = 0;
    enum kt_status status = KT_OK;
    for (size_t d = 0; d < batch->docs_count; d++) {
        struct kt_doc *doc = &batch->docs[d];
        for (uint32_t i = doc->op_first; i < doc->op_first + doc->op_count && status == KT_OK; i++) {
            struct kt_op *op = &batch->ops.v[i];
            if (op->action == KT_KEEP && plan->wanted(plan->context, batch, doc, op))
                status = open_message(batch, i, &opened_at);
        }
    }
    if (status == KT_OK)
        status = kt_region_reserve(&batch->opened, opened_at);
    if (status == KT_OK)
        status =
            kt_crypt_open(worker, batch, kt_span_of(batch->in.data, batch->piece.nbytes), &batch->opened);
    if (status != KT_OK && status != KT_E_ITEM)
        return status;
    struct kt_doc *doc = batch->docs;
    for (size_t m = 0; m < batch->msgs_count; m++) {
        while (batch->msg_ops[m] >= doc->op_first + doc->op_count)
            doc++;
        status = settle_opened(batch, plan, doc, &batch->msgs[m], batch->msg_ops[m]);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

bool kt_doc_changes(const struct kt_job_batch *batch, const struct kt_doc *doc)
{
    for (uint32_t i = 0; i < doc->op_count && !doc->failed; i++) {
        uint8_t action = batch->ops.v[doc->op_first + i].action;
        if (action == KT_SEAL || action == KT_OPEN)
            return true;
    }
    return false;
}

/* The length that the document will have; fails it when a server would refuse it. */
static enum kt_status new_nbytes(struct kt_job_batch *batch, struct kt_doc *doc, uint64_t *nbytes)
{
    *nbytes = doc->nbytes;
    if (!kt_doc_changes(batch, doc))
        return KT_OK;
    uint64_t grown = kt_layout_nbytes(doc->nbytes, batch->ops.v + doc->op_first, doc->op_count);
    if (grown > KT_DOC_MAX_NBYTES && grown > doc->nbytes)
        return kt_batch_fail_doc(batch, doc, KT_NO_OP,
                                 "it would grow from %u to %llu bytes, over the limit of 16 MiB", doc->nbytes,
                                 (unsigned long long)grown);
    *nbytes = grown;
    return KT_OK;
}

static const uint8_t *key_id(const void *context, uint32_t key)
{
    return kt_key_table_id(context, key);
}

struct kt_layout kt_fields_layout(const struct kt_job *job, const struct kt_job_batch *batch)
{
    return (struct kt_layout){
        .in = batch->in.data, .opened = batch->opened.data, .key_id = key_id, .key_context = job->table};
}

enum kt_status kt_fields_lay_out(struct kt_job *job, struct kt_job_batch *batch)
{
    uint64_t total = 0;
    if (job->lay_out)
        return job->lay_out(job, batch);
    for (size_t d = 0; d < batch->docs_count; d++) {
        uint64_t nbytes;
        enum kt_status status = new_nbytes(batch, &batch->docs[d], &nbytes);
        if (status != KT_OK)
            return status;
        total += nbytes;
    }
    if (total > UINT32_MAX)
        return kt_fail(&batch->error, KT_E_TOO_LARGE, "%s: a batch would grow beyond 4 GiB", batch->ns->name);
    enum kt_status status = kt_region_reserve(&batch->out, (size_t)total);
    if (status != KT_OK)
        return status;
    struct kt_layout layout = kt_fields_layout(job, batch);
    uint32_t at = 0;
    for (size_t d = 0; d < batch->docs_count; d++) {
        struct kt_doc *doc = &batch->docs[d];
        bool changed = kt_doc_changes(batch, doc);
        uint32_t nbytes = kt_layout_write(&layout, doc->at, doc->nbytes, batch->ops.v + doc->op_first,
                                          changed ? doc->op_count : 0, batch->out.data, at);
        batch->counts.ns.changed += changed;
        batch->counts.ns.failed += doc->failed;
        if (nbytes > batch->counts.ns.largest_nbytes_out)
            batch->counts.ns.largest_nbytes_out = nbytes;
        at += nbytes;
    }
    batch->counts.ns.nbytes_in += batch->piece.nbytes;
    batch->counts.ns.nbytes_out += at;
    batch->result = kt_span_of(batch->out.data, at);
    return KT_OK;
}
