/* SPDX-License-Identifier: Apache-2.0 */
/* How a job ended, on stderr: what is done, what is not, and what to do next. */
#ifndef KT_TOOLS_ENDING_H
#define KT_TOOLS_ENDING_H

#include "keyturn/job.h"
#include "tools/screen.h"
#include "tools/settings.h"

/* err: what kt_job_run said; status KT_OK when it said nothing. last: the progress when it ended. */
void kt_ending_print(struct kt_screen *screen, const struct kt_settings *settings,
                     const struct kt_job_options *options, const struct kt_job_result *result,
                     const struct kt_job_progress *last, const struct kt_error *err);

/* Where it does not go on. */
#define KT_ENDING_ANEW "There is nothing to go on from: the same command begins anew."

/* Whether the same command goes on where this one ends: stdout, devices and pipes take no checkpoint, and one
 * transaction has none. */
bool kt_ending_resumable(const struct kt_job_options *options);

/* Percent of the input; -1 when its size is unknown. */
int kt_ending_percent(const struct kt_job_progress *progress);

#endif
