/* SPDX-License-Identifier: Apache-2.0 */
/* The keywords of a subschema. */
#ifndef KT_CSFLE_SCHEMA_KEYWORDS_H
#define KT_CSFLE_SCHEMA_KEYWORDS_H

#include "csfle/schema_compile.h"

/* The keywords of one subschema that are of use; type 0 when absent. count: of all its keywords. */
struct kt_keywords {
    struct kt_element properties, patterns, additional, encrypt, metadata, bson_type, type;
    unsigned count;
};

/* Fails on unknown keywords, on one that stands twice, and on rules under keywords where they mean nothing.
 */
KT_MUST_USE enum kt_status kt_keywords_read(struct kt_compile *c, struct kt_span schema,
                                            struct kt_keywords *k);

/* True when the subschema lets through objects alone. */
bool kt_keywords_objects_only(const struct kt_keywords *k);

#endif
