/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that compile a schema share. */
#ifndef KT_CSFLE_SCHEMA_COMPILE_H
#define KT_CSFLE_SCHEMA_COMPILE_H

#include "csfle/bson_cursor.h"
#include "csfle/payload.h"
#include "csfle/schema_node.h"

/* keyId and algorithm, as `encryptMetadata` hands them down. algorithm 0: none yet. */
struct kt_options {
    uint8_t algorithm;
    bool has_key;
    uint8_t key_id[KT_UUID_NBYTES];
    uint32_t pointer; /* KT_NO_POINTER: key_id */
};

/* at: JSON pointer of the place that is being read; path: dotted path of fields. Both grow and shrink as the
 * schema is walked. */
struct kt_compile {
    struct kt_schema *schema;
    const char *source;
    struct kt_buf at, path;
    struct kt_error *err;
};

/* Fills err: "source: ns: /json/pointer: ..."; returns KT_E_SCHEMA. */
enum kt_status kt_compile_fail(struct kt_compile *c, const char *fmt, ...) KT_PRINTF(2, 3);
enum kt_status kt_compile_nomem(struct kt_compile *c);

/* Steps into a key of the schema, escaped as RFC 6901 says, and out of it. */
KT_MUST_USE enum kt_status kt_compile_enter(struct kt_compile *c, struct kt_span key, size_t *mark);
void kt_compile_leave(struct kt_compile *c, size_t mark);

/* A subschema; *node is NULL when it has no rules. */
KT_MUST_USE enum kt_status kt_compile_subschema(struct kt_compile *c, struct kt_span schema,
                                                const struct kt_options *outer, struct kt_node **node);

/* The value of `encryptMetadata`: options gets what it says. */
KT_MUST_USE enum kt_status kt_compile_metadata(struct kt_compile *c, const struct kt_element *element,
                                               struct kt_options *options);

/* The value of `encrypt`: a new rule and its leaf. */
KT_MUST_USE enum kt_status kt_compile_encrypt(struct kt_compile *c, const struct kt_element *element,
                                              const struct kt_options *outer, struct kt_node **leaf);

/* Fails when `encrypt` or `encryptMetadata` stands anywhere below the value of a keyword that does not reach
 * single fields (`items`, `anyOf`, ...). */
KT_MUST_USE enum kt_status kt_compile_refuse_below(struct kt_compile *c, const struct kt_element *keyword);

/* Number of a JSON pointer, new or known. The pointer's form is checked. */
KT_MUST_USE enum kt_status kt_compile_pointer(struct kt_compile *c, struct kt_span text, uint32_t *number);

/* After all rules are there: the tree of pointer targets. No target may be encrypted. */
KT_MUST_USE enum kt_status kt_compile_targets(struct kt_compile *c);

#endif
