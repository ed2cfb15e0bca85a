/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a batch's messages through a worker's engine. A batch may name more DEKs than the worker's cache of
 * prepared keys has room for: then it goes in slices, each with as many keys as fit. */
#ifndef KT_JOBS_CRYPT_H
#define KT_JOBS_CRYPT_H

#include "jobs/job.h"

/* slots of the worker's cache. NULL: memory ran out. */
struct kt_slice *kt_slice_new(size_t slots);
void kt_slice_free(struct kt_slice *slice);

/* msgs[].key are handles of READY keys when it begins; what they are afterwards is not said. batch->msgs
 * read from `in` and write to `out` as kt_seal and kt_open say. KT_OK or KT_E_ITEM (see each status), or what
 * the engine said. */
KT_MUST_USE enum kt_status kt_crypt_seal(struct kt_worker *worker, struct kt_job_batch *batch,
                                         struct kt_span in, struct kt_region *out);
KT_MUST_USE enum kt_status kt_crypt_open(struct kt_worker *worker, struct kt_job_batch *batch,
                                         struct kt_span in, struct kt_region *out);

#endif
