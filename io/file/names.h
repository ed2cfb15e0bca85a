/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces from the names that mongodump gives its files, and from the metadata beside them. */
#ifndef KT_IO_FILE_NAMES_H
#define KT_IO_FILE_NAMES_H

#include <stdbool.h>

#include "common/span.h"

/* The length of `name` without .bson, .bson.gz or .bson.zst; 0 when it has no such ending or nothing before.
 */
size_t kt_bson_stem(const char *name);

/* name[0, nbytes) with %XX decoded; malloc'ed, NULL when memory ran out. A % that two hex digits do not
 * follow, and %00, stay as they are. (mongo-tools util.EscapeCollectionName is Go's url.PathEscape.) */
char *kt_percent_decode(const char *name, size_t nbytes);

/* What a collection's metadata says (the content of .metadata.json, and of an archive's metadata field). */
struct kt_metadata {
    char *collection;   /* collectionName, malloc'ed; NULL when it is not given */
    char *json;         /* all of it, malloc'ed */
    bool is_view;       /* options.viewOn is there: no data comes with it */
    bool is_timeseries; /* options.timeseries is there */
};

/* Any JSON object (RFC 8259) is accepted: Extended JSON is not interpreted. KT_E_FORMAT (label and offset are
 * named), KT_E_NOMEM; then nothing is left allocated. */
KT_MUST_USE enum kt_status kt_metadata_parse(struct kt_metadata *metadata, struct kt_span json,
                                             const char *label, struct kt_error *err);
void kt_metadata_free(struct kt_metadata *metadata);

#endif
