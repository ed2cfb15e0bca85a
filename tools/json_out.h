/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON to a stream, field by field, in the order of the calls. */
#ifndef KT_TOOLS_JSON_OUT_H
#define KT_TOOLS_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* {.out = stream}; `lines` puts each field on a line of its own. */
struct kt_json {
    FILE *out;
    bool lines;
    int depth;
    bool more; /* a field stands before the next one */
};

/* name NULL: the outermost object, or an item of an array. kind: '{' or '['. */
void kt_json_begin(struct kt_json *json, const char *name, char kind);
void kt_json_end(struct kt_json *json, char kind);

/* text NULL: null. Bytes that are no UTF-8 become U+FFFD. */
void kt_json_text(struct kt_json *json, const char *name, const char *text);
void kt_json_count(struct kt_json *json, const char *name, uint64_t n);
void kt_json_seconds(struct kt_json *json, const char *name, double seconds); /* three digits */
/* BSON, as relaxed Extended JSON; null where it is none. */
void kt_json_document(struct kt_json *json, const char *name, const uint8_t *bson, size_t nbytes);
void kt_json_bool(struct kt_json *json, const char *name, bool value);

#endif
