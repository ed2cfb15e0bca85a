/* SPDX-License-Identifier: Apache-2.0 */
/* What a dump's metadata says that a restore of the result will meet. */
#ifndef KT_JOBS_FILE_CHECKS_H
#define KT_JOBS_FILE_CHECKS_H

#include "jobs/job.h"

/* Warns, for each namespace of the schema that is to be encrypted, of indexes that the result breaks or makes
 * useless, and of a validator that refuses it. After the namespaces are known. */
void kt_job_check_metadata(struct kt_job *job);

#endif
