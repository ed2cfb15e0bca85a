/* SPDX-License-Identifier: Apache-2.0 */
/* A dump made with --oplog replays its entries over the restored collections: plaintext over ciphertext. */
#ifndef KT_JOBS_OPLOG_H
#define KT_JOBS_OPLOG_H

#include "jobs/job.h"

/* KT_OK when no entry of this batch of oplog documents touches a namespace of the job; else KT_E_FORMAT in
 * batch->error, with the namespace and the way out. */
KT_MUST_USE enum kt_status kt_oplog_check(const struct kt_job *job, struct kt_job_batch *batch);

/* The same before anything is written, KT_E_USAGE then: of a folder, whose oplog can be read by itself. An
 * archive's comes when it comes. */
KT_MUST_USE enum kt_status kt_oplog_check_ahead(const struct kt_job *job, struct kt_error *err);

#endif
