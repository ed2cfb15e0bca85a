/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_JOBS_LIVE_WHOLE_H
#define KT_JOBS_LIVE_WHOLE_H

#include "jobs/live.h"

/* Refuses (KT_E_USAGE) more keys than one transaction can write; the message says how many it can. */
KT_MUST_USE enum kt_status kt_live_check_whole(struct kt_live *live, uint64_t keys, struct kt_error *err);

/* The job as one transaction, on the first lane. *done: it was committed; false with KT_OK: a key failed, and
 * nothing was written. Else as kt_live_run. */
KT_MUST_USE enum kt_status kt_live_run_whole(struct kt_live *live, bool *done, struct kt_error *err);

#endif
