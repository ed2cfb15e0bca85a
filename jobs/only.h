/* SPDX-License-Identifier: Apache-2.0 */
/* The list of --only: documents named by namespace and _id, as a failures file has them. */
#ifndef KT_JOBS_ONLY_H
#define KT_JOBS_ONLY_H

#include "jobs/batch.h"

struct kt_only;

/* Reads one Extended JSON document {"ns", "_id", ...} a line. KT_OK; KT_E_CONFIG (names file and line);
 * KT_E_IO; KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_only_new(struct kt_only **only, const char *file, struct kt_error *err);
void kt_only_free(struct kt_only *only);

/* Any thread. What was found once counts as found. */
bool kt_only_has(struct kt_only *only, const char *ns, const uint8_t *arena, const struct kt_doc *doc);

/* The same for who only looks: it does not count as found. */
bool kt_only_lists(const struct kt_only *only, const char *ns, const uint8_t *arena,
                   const struct kt_doc *doc);

/* How many documents the list names, and how many of them kt_only_has never met. */
void kt_only_count(const struct kt_only *only, size_t *listed, size_t *missed);

#endif
