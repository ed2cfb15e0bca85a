/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers' schemaMap, compiled: which paths of which namespace are encrypted, how and with which key.
 * Rules: MongoDB manual, "CSFLE Encryption Schemas"; MongoDB specifications, client-side-encryption tests
 * badSchema and types. Every violation is KT_E_SCHEMA with a message that names source, namespace and JSON
 * pointer inside the schema ("schema.json: shop.customers: /properties/phone: deterministic needs ..."). */
#ifndef KT_CSFLE_SCHEMA_H
#define KT_CSFLE_SCHEMA_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

#define KT_NO_POINTER UINT32_MAX

/* One `encrypt`, with what it inherits from encryptMetadata. */
struct kt_rule {
    const char *path;   /* dotted; a pattern reads as "/regex/" in its place, additionalProperties as "*" */
    uint8_t algorithm;  /* enum kt_algorithm */
    uint32_t types;     /* kt_bson_type_bit()s allowed; 0: any that the algorithm takes */
    uint8_t key_id[16]; /* when pointer == KT_NO_POINTER */
    uint32_t pointer;   /* else: number of the JSON pointer whose string is the key's keyAltName */
};

/* Rules and pointers are numbered from 0 in the order of the schema. Immutable after compiling: any thread.
 */
struct kt_schema;

size_t kt_schema_rules(const struct kt_schema *schema);
const struct kt_rule *kt_schema_rule(const struct kt_schema *schema, size_t i);
size_t kt_schema_pointers(const struct kt_schema *schema);
const char *kt_schema_pointer(const struct kt_schema *schema, size_t i); /* "/owner/name" */
const char *kt_schema_ns(const struct kt_schema *schema);

/* Whether a server finds every path and every pointer's target by its dotted name: no patterns, and no name
 * on the way that is empty, begins with '$' or contains '.'. */
bool kt_schema_dotted(const struct kt_schema *schema);

struct kt_schema_map;

/* map_bson: {"db.coll": schema, ...}; {} is legal. source: the file's or option's name, for messages. */
KT_MUST_USE enum kt_status kt_schema_map_new(struct kt_schema_map **map, struct kt_span map_bson,
                                             const char *source, struct kt_error *err);
void kt_schema_map_free(struct kt_schema_map *map);
size_t kt_schema_map_count(const struct kt_schema_map *map);
const struct kt_schema *kt_schema_map_at(const struct kt_schema_map *map, size_t i);
const struct kt_schema *kt_schema_map_find(const struct kt_schema_map *map, const char *ns); /* NULL: none */

#endif
