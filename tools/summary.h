/* SPDX-License-Identifier: Apache-2.0 */
/* What a job prints on stdout when it is over. */
#ifndef KT_TOOLS_SUMMARY_H
#define KT_TOOLS_SUMMARY_H

#include <stdio.h>

#include "keyturn/job.h"

/* The result, in lines of aligned columns. */
void kt_summary_print(FILE *out, const struct kt_job_options *options, const struct kt_job_result *result);

/* All namespaces added up; without paths. */
struct kt_ns_counts kt_summary_together(const struct kt_job_result *result);

/* "" for one, else "s". */
const char *kt_summary_plural(uint64_t n);

#endif
