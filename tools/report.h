/* SPDX-License-Identifier: Apache-2.0 */
/* --report FILE: a job's figures as JSON, under names that stay. */
#ifndef KT_TOOLS_REPORT_H
#define KT_TOOLS_REPORT_H

#include <stdio.h>

#include "keyturn/job.h"
#include "tools/json_out.h"

struct kt_report {
    const char *file; /* NULL: none was asked for */
    char *draft;      /* written beside it first */
    FILE *out;
};

/* Makes sure before the job starts that the report can be written. An existing file is replaced only when it
 * is an earlier report; devices and pipes are written as they are. file NULL: does nothing.
 * KT_OK, KT_E_EXISTS, KT_E_USAGE, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_report_open(struct kt_report *report, const char *file, struct kt_error *err);

/* Writes it and gives it its name. result NULL: the job did not start. exit: the program's exit status.
 * KT_OK or KT_E_IO. */
KT_MUST_USE enum kt_status kt_report_write(struct kt_report *report, const char *job, int exit,
                                           const struct kt_job_options *options,
                                           const struct kt_job_result *result, const struct kt_error *failure,
                                           struct kt_error *err);

/* The same for whatever writes its own fields. */
struct kt_report_head {
    const char *job;
    int exit;
    double seconds;
    bool dry_run;
    const struct kt_error *failure; /* status KT_OK: none */
};
typedef void (*kt_report_fields_fn)(struct kt_json *json, const void *context);
KT_MUST_USE enum kt_status kt_report_write_fields(struct kt_report *report, const struct kt_report_head *head,
                                                  kt_report_fields_fn fields, const void *context,
                                                  struct kt_error *err);

/* "kms": {calls, retries, throttled, p50Ms, p99Ms} */
void kt_report_kms(struct kt_json *json, const struct kt_kms_counts *kms);

/* Removes a report that was not written. */
void kt_report_close(struct kt_report *report);

#endif
