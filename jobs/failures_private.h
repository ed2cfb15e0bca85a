/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of failures while they are open: failures_check.c looks at the names beforehand, failures.c writes,
 * failures_state.c keeps in a checkpoint how far they came. */
#ifndef KT_JOBS_FAILURES_PRIVATE_H
#define KT_JOBS_FAILURES_PRIVATE_H

#include <sys/stat.h>

#include "jobs/failures.h"

struct kt_failures_file {
    char *name;
    int fd;          /* a file is locked while it is open; pipes and devices can be shared */
    uint64_t nbytes; /* what this job has written there, */
    uint64_t crc;    /* and its CRC-64 */
};

/* What stood under a list's name when the job began; all 0: nothing. */
struct kt_failures_seen {
    char *name;
    struct stat st;
};

/* Of a namespace's list, malloc'ed; NULL: memory ran out. */
char *kt_failures_name(const struct kt_failures *failures, const char *ns);

/* Whether nothing stands in an open file that was not there when the job began: another job that ran
 * meanwhile may have listed its failures there. */
bool kt_failures_may_cut(const struct kt_failures *failures, const struct kt_failures_file *file);

/* Opens and locks a list and adds it to the open ones; takes name over. goes_on: it must be there, and
 * another job that holds it is a refusal (KT_E_BUSY); else it may be new, and another job's, running or ended
 * meanwhile, ends this one (KT_E_IO). */
KT_MUST_USE enum kt_status kt_failures_open(struct kt_failures *failures, char *name, bool goes_on,
                                            struct kt_failures_file **out, struct kt_error *err);

/* Cuts the file behind what this job has written there. */
KT_MUST_USE enum kt_status kt_failures_cut(const struct kt_failures_file *file, struct kt_error *err);

KT_MUST_USE enum kt_status kt_failures_sync_bytes(const struct kt_failures_file *file, struct kt_error *err);

/* The errors: KT_E_BUSY; KT_E_IO with what errno says; KT_E_OTHER_JOB. */
KT_MUST_USE enum kt_status kt_failures_held(const char *name, struct kt_error *err);
KT_MUST_USE enum kt_status kt_failures_error(const struct kt_failures_file *file, struct kt_error *err);
KT_MUST_USE enum kt_status kt_failures_changed(const struct kt_failures_file *file, struct kt_error *err);

#endif
