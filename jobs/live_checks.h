/* SPDX-License-Identifier: Apache-2.0 */
/* What must not, or cannot, be done to a collection in place: said before anything is written. */
#ifndef KT_JOBS_LIVE_CHECKS_H
#define KT_JOBS_LIVE_CHECKS_H

#include "jobs/live.h"

/* Of the deployment: it has transactions. KT_OK or KT_E_USAGE. */
KT_MUST_USE enum kt_status kt_live_check_server(const struct kt_live *live, struct kt_error *err);

/* Of one collection: kind, _id and shard-key paths, indexes, validator. Warns where the job may go on. KT_OK,
 * KT_E_USAGE, KT_E_SCHEMA; messages name the namespace and the way out. */
KT_MUST_USE enum kt_status kt_live_check(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err);

/* Of the user, when a server has users: to change the collections, or to read them and fill those that --to
 * names, and to keep the job's state. KT_OK, or KT_E_DENIED with the role that is missing; a dry run only
 * warns. */
KT_MUST_USE enum kt_status kt_live_check_rights(struct kt_live *live, struct kt_error *err);

/* Where documents are written elsewhere and nothing was begun yet: the collection is not the one that is read
 * (KT_E_USAGE), and is empty or not there (KT_E_EXISTS). KT_OK, these, or as kt_mongo_fail says. */
KT_MUST_USE enum kt_status kt_live_check_copy(struct kt_live *live, const struct kt_live_ns *ns,
                                              struct kt_error *err);

/* The same; then it is created with the same collation, unless it is there. */
KT_MUST_USE enum kt_status kt_live_begin_copy(struct kt_live *live, struct kt_live_ns *ns,
                                              struct kt_error *err);

/* Of rewrap --all-or-nothing: refuses (KT_E_USAGE) more keys than one transaction can write; the message says
 * how many it can. */
KT_MUST_USE enum kt_status kt_live_check_whole(struct kt_live *live, uint64_t keys, struct kt_error *err);

/* After keys and lanes are there: see live_sample.c. Figures go to each namespace's sample; warns, and
 * refuses (KT_E_USAGE) a validator that takes nothing of what the job makes. */
KT_MUST_USE enum kt_status kt_live_sample(struct kt_live *live, struct kt_error *err);

#endif
