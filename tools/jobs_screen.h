/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TOOLS_JOBS_SCREEN_H
#define KT_TOOLS_JOBS_SCREEN_H

#include "tools/screen.h"
#include "tools/settings.h"

/* status --jobs: lists a server's unfinished jobs. Returns the exit status. */
int kt_jobs_print(struct kt_screen *screen, const struct kt_settings *settings);

#endif
