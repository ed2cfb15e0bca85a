/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_type.h"
#include "jobs/crypt.h"
#include "jobs/fields.h"

/* Names of the types that a rule allows, for messages: "string" or "string, int". */
static const char *type_names(uint32_t types, char *out, size_t nbytes)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned type = 1; type <= 0xff && at < nbytes; type++) {
        if (kt_bson_type_bit((uint8_t)type) & types)
            at += (size_t)snprintf(out + at, nbytes - at, "%s%s", at ? ", " : "",
                                   kt_bson_type_name((uint8_t)type));
    }
    return out;
}

static enum kt_status fail_or_leave(const struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc,
                                    const struct kt_op *op, const char *reason)
{
    if (job->options.leave_unencryptable) {
        batch->counts.ns.left++;
        return KT_OK;
    }
    return kt_batch_fail_doc(batch, doc, (uint32_t)(op - batch->ops.v), "%s", reason);
}

/* A value that is sealed already: ours, or something that this job must not touch. */
static enum kt_status decide_payload(const struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc,
                                     const struct kt_op *op, const struct kt_payload *payload)
{
    const struct kt_rule *rule = kt_schema_rule(batch->ns->schema, op->rule);
    uint32_t at = (uint32_t)(op - batch->ops.v);
    if (memcmp(payload->key_id, kt_key_table_id(job->table, op->key), KT_UUID_NBYTES) != 0)
        return kt_batch_fail_doc(batch, doc, at,
                                 "it is encrypted already, under another key than the schema's");
    if (payload->algorithm != rule->algorithm)
        return kt_batch_fail_doc(batch, doc, at, "it is encrypted already, with the other algorithm");
    if (rule->types && !(kt_bson_type_bit(payload->type) & rule->types))
        return kt_batch_fail_doc(batch, doc, at,
                                 "it is encrypted already, as %s, which the schema does not allow",
                                 kt_bson_type_name(payload->type));
    batch->counts.ns.already++;
    return KT_OK;
}

static enum kt_status decide_plaintext(const struct kt_job *job, struct kt_job_batch *batch,
                                       struct kt_doc *doc, struct kt_op *op)
{
    const struct kt_rule *rule = kt_schema_rule(batch->ns->schema, op->rule);
    char reason[200], names[120];
    bool deterministic = rule->algorithm == KT_DETERMINISTIC;
    if (!kt_bson_type_random_ok(op->type) || (deterministic && !kt_bson_type_deterministic_ok(op->type))) {
        snprintf(reason, sizeof reason, "%s cannot be encrypted%s", kt_bson_type_name(op->type),
                 kt_bson_type_random_ok(op->type) ? " deterministically" : "");
        return fail_or_leave(job, batch, doc, op, reason);
    }
    if (op->type == KT_BSON_BINARY && batch->in.data[op->value + 4] == KT_SUBTYPE_ENCRYPTED)
        return fail_or_leave(job, batch, doc, op, "binData of subtype 6 cannot be encrypted");
    if (rule->types && !(kt_bson_type_bit(op->type) & rule->types)) {
        snprintf(reason, sizeof reason, "it is %s; the schema wants %s", kt_bson_type_name(op->type),
                 type_names(rule->types, names, sizeof names));
        return fail_or_leave(job, batch, doc, op, reason);
    }
    /* The rest of the document may hold what it likes; what is sealed, every driver must be able to open. */
    if (kt_bson_check_value(op->type, kt_span_of(batch->in.data + op->value, op->value_nbytes)) != KT_OK)
        return fail_or_leave(job, batch, doc, op, "it holds a string that is not UTF-8");
    op->action = KT_SEAL;
    op->algorithm = rule->algorithm;
    return KT_OK;
}

static enum kt_status decide(const struct kt_job *job, struct kt_job_batch *batch, struct kt_doc *doc,
                             struct kt_op *op)
{
    uint32_t at = (uint32_t)(op - batch->ops.v);
    struct kt_payload payload;
    if (op->algorithm == KT_ARRAY_IN_PATH)
        return kt_batch_fail_doc(batch, doc, at, "an array stands where the schema has an embedded document");
    if (op->algorithm == KT_PATH_UNDECIDED)
        return kt_batch_fail_doc(batch, doc, at,
                                 "patterns of the schema contradict each other about its name");
    if (op->key == KT_NO_KEY) {
        const struct kt_rule *rule = kt_schema_rule(batch->ns->schema, op->rule);
        return kt_batch_fail_doc(batch, doc, at,
                                 "the key's name, keyId %s, leads to no string in this document",
                                 kt_schema_pointer(batch->ns->schema, rule->pointer));
    }
    if (kt_key_table_state(job->table, op->key) != KT_KEY_READY)
        return kt_fields_no_key(job, batch, doc, at);
    op->key = kt_key_table_key(job->table, op->key);
    if (kt_op_payload(batch, op, &payload, NULL))
        return decide_payload(job, batch, doc, op, &payload);
    return decide_plaintext(job, batch, doc, op);
}

static enum kt_status decide_all(const struct kt_job *job, struct kt_job_batch *batch)
{
    for (size_t d = 0; d < batch->docs_count; d++) {
        struct kt_doc *doc = &batch->docs[d];
        for (uint32_t i = 0; i < doc->op_count && !doc->failed; i++) {
            struct kt_op *op = &batch->ops.v[doc->op_first + i];
            if (op->action != KT_KEEP)
                continue;
            enum kt_status status = decide(job, batch, doc, op);
            if (status != KT_OK)
                return status;
        }
    }
    return KT_OK;
}

/* One message for each hole that lay out has left. */
static enum kt_status seal_messages(struct kt_job_batch *batch)
{
    enum kt_status status = kt_job_batch_reserve_msgs(batch, batch->ops.count);
    if (status != KT_OK)
        return status;
    for (size_t d = 0; d < batch->docs_count; d++) {
        const struct kt_doc *doc = &batch->docs[d];
        for (uint32_t i = 0; i < doc->op_count && !doc->failed; i++) {
            const struct kt_op *op = &batch->ops.v[doc->op_first + i];
            if (op->action != KT_SEAL)
                continue;
            batch->msgs[batch->msgs_count++] = (struct kt_msg){
                .in = op->value,
                .in_nbytes = op->value_nbytes,
                .out = op->hole,
                .key = op->key,
                .aad_nbytes = KT_PAYLOAD_AAD_NBYTES,
                .mode = op->algorithm == KT_DETERMINISTIC ? KT_MODE_DETERMINISTIC : KT_MODE_RANDOM};
            batch->counts.ns.values++;
            batch->counts.paths[op->rule].authentic++;
        }
    }
    return KT_OK;
}

static enum kt_status encrypt_process(struct kt_job *job, struct kt_worker *worker,
                                      struct kt_job_batch *batch, bool *parked)
{
    enum kt_status status = kt_fields_begin(job, worker, batch, true, parked);
    if (status != KT_OK || *parked)
        return status;
    status = decide_all(job, batch);
    if (status == KT_OK)
        status = kt_fields_lay_out(job, batch);
    if (status == KT_OK)
        status = seal_messages(batch);
    if (status == KT_OK)
        status = kt_crypt_seal(worker, batch, kt_span_of(batch->in.data, batch->piece.nbytes), &batch->out);
    return status;
}

const struct kt_command kt_command_encrypt = {
    .name = "encrypt", .writes = true, .needs_schema = true, .process = encrypt_process};
