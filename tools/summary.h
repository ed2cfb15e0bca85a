/* SPDX-License-Identifier: Apache-2.0 */
/* What a job prints when it is over. */
#ifndef KT_TOOLS_SUMMARY_H
#define KT_TOOLS_SUMMARY_H

#include <stdio.h>

#include "keyturn/job.h"
#include "tools/screen.h"
#include "tools/settings.h"

/* The result, in lines of aligned columns. */
void kt_summary_print(FILE *out, const struct kt_job_options *options, const struct kt_job_result *result);

/* How it ended and what to do next, on stderr. err: what kt_job_run said; status KT_OK when it said
 * nothing. last: the progress when it ended. */
void kt_summary_ending(struct kt_screen *screen, const struct kt_settings *settings,
                       const struct kt_job_options *options, const struct kt_job_result *result,
                       const struct kt_job_progress *last, const struct kt_error *err);

/* Percent of the input; -1 when its size is unknown. */
int kt_summary_percent(const struct kt_job_progress *progress);

#endif
