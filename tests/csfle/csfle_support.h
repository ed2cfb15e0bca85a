/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of csfle/ share. */
#ifndef KT_TESTS_CSFLE_SUPPORT_H
#define KT_TESTS_CSFLE_SUPPORT_H

#include <bson/bson.h>

#include "common/span.h"
#include "csfle/schema.h"

/* A copy in a block of exactly its size, so that AddressSanitizer sees a read of one byte more. Free with
 * free(). */
uint8_t *kt_exact(const void *data, size_t nbytes);

/* JSON text (extended JSON, ' for ") as a document. Free with bson_destroy. */
bson_t *kt_json(const char *text);

static inline struct kt_span kt_bson_span(const bson_t *doc)
{
    return kt_span_of(bson_get_data(doc), doc->len);
}

/* The next BSON document of a file's bytes; false at the end. */
bool kt_next_doc(const uint8_t *data, size_t nbytes, size_t *at, struct kt_span *doc);

/* Calls visit for each entry of the array `list` in each file of vectors/bson-corpus whose field is a hex
 * string. Returns how many there were. */
size_t kt_each_corpus_case(const char *list, const char *field,
                           void (*visit)(const char *description, struct kt_span bson, void *context),
                           void *context);

/* Paths below shared/ of real dump files of vectors/bson-dumps; NULL at the end. */
extern const char *const kt_dump_files[];

/* A schemaMap of one namespace, "db.c", from JSON text as kt_json takes it; fails the test when it is
 * refused. */
struct kt_schema_map *kt_compile_json(const char *schema);

/* xorshift64*: the same numbers from the same seed everywhere. */
uint64_t kt_random(uint64_t *state);

#endif
