/* SPDX-License-Identifier: Apache-2.0 */
/* JSON replies and BSON configuration documents, read through libbson. */
#ifndef KT_KMS_JSON_H
#define KT_KMS_JSON_H

#include <bson/bson.h>
#include <stdbool.h>

#include "common/span.h"

/* A parsed JSON object, or NULL when text is none. Free with kt_json_free, which wipes it. */
bson_t *kt_json_parse(struct kt_span text);
void kt_json_free(bson_t *json);

/* A BSON document in place; false when it is malformed. doc is borrowed. */
bool kt_doc_view(struct kt_span doc, bson_t *view);

/* The string at a dotted path ("error.code"), NUL-terminated, in the document's memory; NULL when there is
 * none or when it has a NUL inside. */
const char *kt_doc_text(const bson_t *doc, const char *path);

/* The same, or an empty string. */
const char *kt_doc_text_or_empty(const bson_t *doc, const char *path);

/* host[:port] of the address at a path, which may stand there as a URL, in the document's memory; 0 bytes
 * when there is none. False: it has no host, or one with characters that cannot stand there. */
bool kt_doc_host(const bson_t *doc, const char *path, struct kt_span *host);

/* A whole number, also when it is written as a string of digits. */
bool kt_doc_number(const bson_t *doc, const char *path, int64_t *number);
bool kt_doc_true(const bson_t *doc, const char *path);

#endif
