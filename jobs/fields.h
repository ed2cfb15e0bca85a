/* SPDX-License-Identifier: Apache-2.0 */
/* What encrypt, decrypt and verify share: the two phases of a batch of documents. First the walk finds what
 * is at stake and which keys that needs; when the keys are settled, the command decides about each op. */
#ifndef KT_JOBS_FIELDS_H
#define KT_JOBS_FIELDS_H

#include "csfle/layout.h"
#include "jobs/job.h"

/* First phase, once a batch: walks every document, then settles the keys that it needs. With rule_keys
 * op->key becomes the handle of the rule's key (encrypt, verify); a JSON pointer that leads to no string
 * leaves KT_NO_KEY. Without, it becomes the handle of the key that the payload names, KT_NO_KEY for what is
 * no payload (decrypt). *parked as in struct kt_team_work. A document whose BSON is broken ends the job
 * (KT_E_FORMAT in batch->error). */
KT_MUST_USE enum kt_status kt_fields_begin(struct kt_job *job, struct kt_worker *worker,
                                           struct kt_job_batch *batch, bool rule_keys, bool *parked);

/* KT_OK, unless the key FAILED because the KMS could not be reached: then no document is to blame, and the
 * job ends (batch->error). */
KT_MUST_USE enum kt_status kt_fields_key_outage(const struct kt_job *job, struct kt_job_batch *batch,
                                                uint32_t key);

/* The key of this op FAILED: its document fails with the reason, or the job ends as above. */
KT_MUST_USE enum kt_status kt_fields_no_key(const struct kt_job *job, struct kt_job_batch *batch,
                                            struct kt_doc *doc, uint32_t op);

/* The op's value as a payload. */
bool kt_op_payload(const struct kt_job_batch *batch, const struct kt_op *op, struct kt_payload *payload,
                   bool *broken);

/* Opens the payloads of all KEEP ops that `wanted` says yes to, in one run of the engine: the value goes to
 * batch->opened, op->hole and op->opened_nbytes say where, op->type becomes the value's, op->action becomes
 * KT_OPEN. An op that does not open, or whose value is no legal BSON, stays KEEP and `refused` is told. */
typedef bool (*kt_want_fn)(void *context, struct kt_job_batch *batch, struct kt_doc *doc, struct kt_op *op);
typedef enum kt_status (*kt_refused_fn)(void *context, struct kt_job_batch *batch, struct kt_doc *doc,
                                        uint32_t op, enum kt_status why);
struct kt_open_plan {
    kt_want_fn wanted;
    kt_refused_fn refused;
    void *context;
};
KT_MUST_USE enum kt_status kt_fields_open(struct kt_worker *worker, struct kt_job_batch *batch,
                                          const struct kt_open_plan *plan);

/* Whether an op of the document is SEAL or OPEN, and the document has not failed. */
bool kt_doc_changes(const struct kt_job_batch *batch, const struct kt_doc *doc);

/* How the batch's documents are laid out. */
struct kt_layout kt_fields_layout(const struct kt_job *job, const struct kt_job_batch *batch);

/* Lays the batch out into batch->out: documents that failed, or in which no op is SEAL or OPEN, are copied.
 * Sets batch->result and counts bytes, documents and changed ones. A document that would exceed 16 MiB fails
 * alone. A job with a lay_out of its own gets that instead. */
KT_MUST_USE enum kt_status kt_fields_lay_out(struct kt_job *job, struct kt_job_batch *batch);

#endif
