/* SPDX-License-Identifier: Apache-2.0 */
/* Counting: each batch counts for itself, the writer adds batches up in the input's order, so that a
 * checkpoint's figures are those of exactly the documents before it. */
#ifndef KT_JOBS_COUNTS_H
#define KT_JOBS_COUNTS_H

#include <bson/bson.h>

#include "keyturn/job.h"

struct kt_counts {
    struct kt_ns_counts ns;       /* .paths and .ns are unused here */
    struct kt_path_counts *paths; /* by rule; .path is unused here */
    size_t paths_count;
    struct kt_key_counts keys; /* .cmks is unused here */
};

KT_MUST_USE enum kt_status kt_counts_init(struct kt_counts *counts, size_t paths_count);
void kt_counts_free(struct kt_counts *counts);
void kt_counts_clear(struct kt_counts *counts);

/* into += more. more may have more paths than into; the rest is zero then. */
void kt_counts_add(struct kt_counts *into, const struct kt_counts *more);

/* For the checkpoint. load expects what save wrote for the same schema; false when it is not. */
KT_MUST_USE bool kt_counts_save(const struct kt_counts *counts, bson_t *out);
KT_MUST_USE bool kt_counts_load(struct kt_counts *counts, const bson_t *doc);

#endif
