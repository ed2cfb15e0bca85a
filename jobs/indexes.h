/* SPDX-License-Identifier: Apache-2.0 */
/* What a collection's indexes lose, or do, when the fields of a schema are encrypted, or decrypted. */
#ifndef KT_JOBS_INDEXES_H
#define KT_JOBS_INDEXES_H

#include "jobs/job.h"

enum kt_index_loss {
    KT_INDEX_BREAKS,  /* the index cannot hold what comes (geo) */
    KT_INDEX_USELESS, /* it no longer does what it is for: unique, TTL, text, partial; or does harm */
    KT_INDEX_LESS,    /* it goes on with less, or refuses some documents */
};

/* One finding; what: a clause that names the path where it is not plain from the index. A status other than
 * KT_OK ends the search. */
typedef enum kt_status (*kt_index_fn)(void *context, enum kt_index_loss loss, const struct kt_rule *rule,
                                      const char *index, const char *what, struct kt_error *err);

/* Looks at a list of indexes, {"0": {key, name, ...}, ...}, for one rule; NULL, decrypting without a schema:
 * for whatever is decrypted. Returns what found returns. */
KT_MUST_USE enum kt_status kt_indexes_search(const bson_t *indexes, const struct kt_rule *rule, bool decrypts,
                                             kt_index_fn found, void *context, struct kt_error *err);

/* Whether a path is, leads to or lies below a field. */
bool kt_path_touches(const char *path, const char *field);

/* The document, or array, at a dotted path, as a view. False: there is none. */
bool kt_document_at(const bson_t *doc, const char *path, bson_t *view);

#endif
