/* SPDX-License-Identifier: Apache-2.0 */
/* Which namespaces of a store a job works on, under which names and schemas. */
#ifndef KT_JOBS_NAMESPACES_H
#define KT_JOBS_NAMESPACES_H

#include "jobs/job.h"

/* True when a pattern with `*` (any run of bytes) matches the whole name. */
bool kt_ns_matches(const char *pattern, const char *ns);

/* Fills job->namespaces from the source's entries, the schema map and --ns-include, --ns-exclude; names a
 * lone file or stream that has no name by itself; warns of schema namespaces that the store lacks. KT_OK;
 * KT_E_USAGE (a lone stream that cannot be named, an oplog or time-series that cannot be kept safe);
 * KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_job_name_namespaces(struct kt_job *job, struct kt_error *err);

/* Looks up the keys that the schema names by UUID; KT_E_NO_KEY and others when one is not to be had. */
KT_MUST_USE enum kt_status kt_job_settle_rule_keys(struct kt_job *job, struct kt_error *err);

/* What --ns-include and --ns-exclude say. */
bool kt_job_includes(const struct kt_job *job, const char *ns);

/* KT_OK or KT_E_NOMEM. job->namespaces may move. */
KT_MUST_USE enum kt_status kt_job_add_namespace(struct kt_job *job, const char *name,
                                                const struct kt_schema *schema, struct kt_error *err);

void kt_job_free_namespaces(struct kt_job *job);

#endif
