/* SPDX-License-Identifier: Apache-2.0 */
/* Which job a namespace has: one that is there and goes on, or a new one; and how its _ids are cut. */
#ifndef KT_JOBS_LIVE_JOIN_H
#define KT_JOBS_LIVE_JOIN_H

#include "jobs/live.h"

/* Cuts the _ids into ranges: ns->state's bounds. */
KT_MUST_USE enum kt_status kt_live_cut(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err);

/* Whether kt_live_join would be refused; writes nothing. KT_OK, KT_E_OTHER_JOB, KT_E_FORMAT (its document is
 * damaged), or as kt_live_check_copy says. */
KT_MUST_USE enum kt_status kt_live_may_join(struct kt_live *live, struct kt_live_ns *ns,
                                            struct kt_error *err);

/* Joins the namespace's job, or begins one (after --forget dropped what is there), with its backup. A part
 * without ranges begins none: ns->joined stays false. */
KT_MUST_USE enum kt_status kt_live_join(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err);

/* For a part that began none: joins the one that the others may have begun since, so that whoever is last
 * closes it. */
KT_MUST_USE enum kt_status kt_live_join_late(struct kt_live *live, struct kt_live_ns *ns,
                                             struct kt_error *err);

#endif
