/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints of file jobs: what the job is, how far it came in source and sink, and its figures. */
#ifndef KT_JOBS_RESUME_H
#define KT_JOBS_RESUME_H

#include "jobs/job.h"

/* What tells one job from another, everything that decides what the output will be: SHA-256 as hex. more:
 * what the options do not say; or NULL. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_job_fingerprint(const struct kt_job *job, const bson_t *more, char hex[65]);

/* Stores a checkpoint behind the piece that `position` belongs to. */
KT_MUST_USE enum kt_status kt_job_checkpoint(struct kt_job *job, const bson_t *position,
                                             struct kt_error *err);

/* Takes up the checkpoint that the freshly opened sink carries, if there is one: source, sink, figures and
 * failures files go back to it. KT_E_OTHER_JOB when it belongs to another job (the message says how to go
 * on), KT_E_FORMAT when it is damaged. With --forget, or without a checkpoint, the sink starts anew. */
KT_MUST_USE enum kt_status kt_job_resume(struct kt_job *job, struct kt_error *err);

/* For a dry run: what kt_sink_open and kt_job_resume would refuse, without a trace. */
KT_MUST_USE enum kt_status kt_job_look(const struct kt_job *job, struct kt_error *err);

#endif
