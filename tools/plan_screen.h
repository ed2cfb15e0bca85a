/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a job on a server, before it is asked for and as the dry run says it. */
#ifndef KT_TOOLS_PLAN_SCREEN_H
#define KT_TOOLS_PLAN_SCREEN_H

#include <stdio.h>

#include "keyturn/job.h"

void kt_plan_print(FILE *out, const struct kt_job_options *options, const struct kt_job_plan *plan);

/* "Encrypt shop.customers?"; with several namespaces how many. */
void kt_plan_question(const struct kt_job_options *options, const struct kt_job_plan *plan, char *out,
                      size_t nbytes);

#endif
