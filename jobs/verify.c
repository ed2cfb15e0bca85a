/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, for each path of the schema, what stands there. Reads everything, writes nothing but, when asked
 * for, the list of what it found. */
#include <string.h>

#include "csfle/bson_type.h"
#include "jobs/fields.h"

static enum kt_status found(struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc, uint32_t op,
                            uint64_t *count, const char *what)
{
    (*count)++;
    return job->options.failures ? kt_batch_note(batch, doc, op, "%s", what) : KT_OK;
}

/* Everything that shows without opening. *open: the tag has the last word. */
static enum kt_status judge(struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc, uint32_t at,
                            bool *open)
{
    struct kt_op *op = &batch->ops.v[at];
    const struct kt_rule *rule = kt_schema_rule(batch->ns->schema, op->rule);
    struct kt_path_counts *path = &batch->counts.paths[op->rule];
    struct kt_payload payload;
    bool broken = false;
    batch->counts.ns.values++;
    if (op->algorithm == KT_ARRAY_IN_PATH)
        return found(job, batch, doc, at, &path->plaintext,
                     "plaintext in an array, which the schema cannot reach");
    if (op->algorithm == KT_PATH_UNDECIDED)
        return found(job, batch, doc, at, &path->plaintext,
                     "not judged: patterns of the schema contradict each other about its name");
    if (!kt_op_payload(batch, op, &payload, &broken)) {
        if (broken)
            return found(job, batch, doc, at, &path->unauthentic,
                         "looks encrypted, but its length cannot be right");
        return found(job, batch, doc, at, &path->plaintext, "plaintext");
    }
    enum kt_status status = kt_fields_key_outage(job, batch, op->key);
    if (status != KT_OK)
        return status;
    if (op->key == KT_NO_KEY || kt_key_table_state(job->table, op->key) != KT_KEY_READY)
        return found(job, batch, doc, at, &path->no_key, "the key that the schema names is not to be had");
    op->key = kt_key_table_key(job->table, op->key);
    if (memcmp(payload.key_id, kt_key_table_id(job->table, op->key), KT_UUID_NBYTES) != 0)
        return found(job, batch, doc, at, &path->wrong_key, "encrypted under another key than the schema's");
    if (payload.algorithm != rule->algorithm)
        return found(job, batch, doc, at, &path->wrong_algorithm, "encrypted with the other algorithm");
    *open = true;
    return KT_OK;
}

static bool wanted(void *context, struct kt_job_batch *batch, struct kt_doc *doc, struct kt_op *op)
{
    (void)context, (void)batch, (void)doc;
    return op->action == KT_KEEP && op->key != KT_NO_KEY;
}

static enum kt_status refused(void *context, struct kt_job_batch *batch, struct kt_doc *doc, uint32_t op,
                              enum kt_status why)
{
    uint64_t *count = &batch->counts.paths[batch->ops.v[op].rule].unauthentic;
    return found(context, batch, doc, op, count,
                 why == KT_E_FORMAT ? "opens, but what is inside is no BSON value of its type"
                                    : "not authentic");
}

static enum kt_status judge_all(struct kt_job *job, struct kt_job_batch *batch)
{
    for (size_t d = 0; d < batch->docs_count; d++) {
        struct kt_doc *doc = &batch->docs[d];
        for (uint32_t i = doc->op_first; i < doc->op_first + doc->op_count; i++) {
            bool open = false;
            if (batch->ops.v[i].action != KT_KEEP)
                continue;
            enum kt_status status = judge(job, batch, doc, i, &open);
            if (status != KT_OK)
                return status;
            if (!open)
                batch->ops.v[i].key = KT_NO_KEY;
        }
    }
    return KT_OK;
}

static enum kt_status count_opened(struct kt_job *job, struct kt_job_batch *batch)
{
    struct kt_doc *doc = batch->docs;
    for (size_t m = 0; m < batch->msgs_count; m++) {
        uint32_t at = batch->msg_ops[m];
        const struct kt_op *op = &batch->ops.v[at];
        const struct kt_rule *rule = kt_schema_rule(batch->ns->schema, op->rule);
        struct kt_path_counts *path = &batch->counts.paths[op->rule];
        if (op->action != KT_OPEN)
            continue;
        while (at >= doc->op_first + doc->op_count)
            doc++;
        if (!rule->types || (kt_bson_type_bit(op->type) & rule->types)) {
            path->authentic++;
            continue;
        }
        enum kt_status status = found(job, batch, doc, at, &path->wrong_type,
                                      "authentic, but of a type that the schema does not allow");
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

/* Documents that could not be judged at all. */
static void count_failed(struct kt_job_batch *batch)
{
    for (size_t d = 0; d < batch->docs_count; d++)
        batch->counts.ns.failed += batch->docs[d].failed;
}

static enum kt_status verify_process(struct kt_job *job, struct kt_worker *worker, struct kt_job_batch *batch,
                                     bool *parked)
{
    enum kt_status status = kt_fields_begin(job, worker, batch, true, parked);
    if (status != KT_OK || *parked)
        return status;
    struct kt_open_plan plan = {wanted, refused, job};
    count_failed(batch);
    status = judge_all(job, batch);
    if (status == KT_OK)
        status = kt_fields_open(worker, batch, &plan);
    return status == KT_OK ? count_opened(job, batch) : status;
}

const struct kt_command kt_command_verify = {
    .name = "verify", .needs_schema = true, .process = verify_process};
