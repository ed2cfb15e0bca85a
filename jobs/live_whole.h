/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_JOBS_LIVE_WHOLE_H
#define KT_JOBS_LIVE_WHOLE_H

#include "jobs/live.h"

/* The job as one transaction: the thread of its only lane, as kt_lane_main. Its range is done once all keys
 * are written; when one cannot be, none is, and the range stays open without a failure. */
void *kt_live_whole_main(void *lane);

#endif
