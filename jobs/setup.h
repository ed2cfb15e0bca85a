/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and closes everything that a job stands on, in the order in which it can be refused cheaply: options,
 * memory, engine, providers, schema, source, keys, the command's own checks, workers, and last the output. */
#ifndef KT_JOBS_SETUP_H
#define KT_JOBS_SETUP_H

#include "jobs/job.h"

/* Sets defaults too. KT_OK or KT_E_USAGE. */
KT_MUST_USE enum kt_status kt_job_check_options(struct kt_job *job, struct kt_error *err);

/* On failure the caller tears down what is there. */
KT_MUST_USE enum kt_status kt_job_set_up(struct kt_job *job, struct kt_error *err);
void kt_job_tear_down(struct kt_job *job);

#endif
