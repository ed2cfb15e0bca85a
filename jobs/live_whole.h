/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_JOBS_LIVE_WHOLE_H
#define KT_JOBS_LIVE_WHOLE_H

#include "jobs/live.h"

/* Refuses (KT_E_USAGE) more keys than one transaction can write; the message says how many it can. */
KT_MUST_USE enum kt_status kt_live_check_whole(struct kt_live *live, uint64_t keys, struct kt_error *err);

/* The job as one transaction: the thread of its only lane, as kt_lane_main. Its range is done once all keys
 * are written; when one cannot be, none is, and the range stays open without a failure. */
void *kt_live_whole_main(void *lane);

#endif
