/* SPDX-License-Identifier: Apache-2.0 */
/* The part of MongoDB's query language that makes sense on a key vault in a file: {path: value}, {path:
 * {$eq}}, {path: {$ne}}, {path: {$in}}, {path: {$exists}}, $and, $or. Values are equal when their types and
 * bytes are; a path that leads to an array matches when the array or one of its items does. */
#ifndef KT_JOBS_FILTER_H
#define KT_JOBS_FILTER_H

#include <bson/bson.h>
#include <stdbool.h>

#include "common/span.h"

struct kt_filter;

/* filter: BSON, copied. KT_OK, KT_E_USAGE (names the operator), KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_filter_new(struct kt_filter **filter, struct kt_span filter_bson,
                                         struct kt_error *err);
void kt_filter_free(struct kt_filter *filter);

/* Any thread. doc is one whole BSON document. */
bool kt_filter_matches(const struct kt_filter *filter, struct kt_span doc);

#endif
