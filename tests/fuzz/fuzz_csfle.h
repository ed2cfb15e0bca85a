/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of csfle/ share. */
#ifndef KT_TESTS_FUZZ_CSFLE_H
#define KT_TESTS_FUZZ_CSFLE_H

#include <bson/bson.h>
#include <stdlib.h>

#include "csfle/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

/* A finding. */
static inline void kt_must(bool holds)
{
    if (!holds)
        abort();
}

#define KT_FUZZ_UUID "{\"$binary\": {\"base64\": \"AQAAAAAAAAAAAAAAAAAAAA==\", \"subType\": \"04\"}}"

/* A schema with short names, so that inputs hit it: fields a and b.c, a pattern, additionalProperties below
 * o, and two pointers. */
static inline struct kt_schema_map *kt_fuzz_schema(void)
{
    static const char text[] =
        "{\"d.c\": {\"bsonType\": \"object\", \"encryptMetadata\": {\"keyId\": [" KT_FUZZ_UUID
        "], \"algorithm\": \"AEAD_AES_256_CBC_HMAC_SHA_512-Random\"}, \"properties\": {\"a\": {\"encrypt\": "
        "{}}, "
        "\"b\": {\"bsonType\": \"object\", \"properties\": {\"c\": {\"encrypt\": {\"keyId\": \"/k\"}}}}, "
        "\"e\": {\"encrypt\": {\"keyId\": \"/o/k/0\"}}, \"k\": {}, "
        "\"o\": {\"bsonType\": \"object\", \"properties\": {\"k\": {}}, \"additionalProperties\": "
        "{\"encrypt\": {}}}}, "
        "\"patternProperties\": {\"^p\": {\"encrypt\": {}}, \"q$\": {\"encrypt\": {\"bsonType\": "
        "\"int\"}}}}}";
    bson_t *map = bson_new_from_json((const uint8_t *)text, -1, NULL);
    kt_must(map != NULL);
    struct kt_schema_map *compiled;
    struct kt_error err;
    kt_must(kt_schema_map_new(&compiled, kt_span_of(bson_get_data(map), map->len), "fuzz", &err) == KT_OK);
    bson_destroy(map);
    return compiled;
}

#endif
