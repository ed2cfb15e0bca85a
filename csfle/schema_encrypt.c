/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/schema_compile.h"
#include "csfle/walk.h"

#define RANDOM_NAME "AEAD_AES_256_CBC_HMAC_SHA_512-Random"
#define DETERMINISTIC_NAME "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic"

static enum kt_status read_algorithm(struct kt_compile *c, const struct kt_element *e, struct kt_options *to)
{
    struct kt_span text;
    if (!kt_element_string(e, &text))
        return kt_compile_fail(c, "algorithm must be a string, here %s", kt_bson_type_name(e->type));
    if (kt_span_equal(text, kt_span_str(RANDOM_NAME)))
        to->algorithm = KT_RANDOM;
    else if (kt_span_equal(text, kt_span_str(DETERMINISTIC_NAME)))
        to->algorithm = KT_DETERMINISTIC;
    else
        return kt_compile_fail(c,
                               "unknown algorithm '%.*s'; there are " RANDOM_NAME " and " DETERMINISTIC_NAME,
                               (int)(text.nbytes < 80 ? text.nbytes : 80), (const char *)text.data);
    return KT_OK;
}

static enum kt_status read_uuid(struct kt_compile *c, const struct kt_element *e, struct kt_options *to)
{
    struct kt_cursor cursor = kt_cursor_of(e->value);
    struct kt_element uuid, more;
    if (!kt_cursor_next(&cursor, &uuid) || kt_cursor_next(&cursor, &more))
        return kt_compile_fail(c, "keyId must hold exactly one UUID");
    if (uuid.type != KT_BSON_BINARY || uuid.value.nbytes != 5 + KT_UUID_NBYTES || uuid.value.data[4] != 4)
        return kt_compile_fail(c, "keyId must hold a UUID: BinData of subtype 4 and 16 bytes");
    memcpy(to->key_id, uuid.value.data + 5, KT_UUID_NBYTES);
    to->pointer = KT_NO_POINTER;
    to->has_key = true;
    return KT_OK;
}

static enum kt_status read_key(struct kt_compile *c, const struct kt_element *e, struct kt_options *to)
{
    struct kt_span text;
    if (e->type == KT_BSON_ARRAY)
        return read_uuid(c, e, to);
    if (!kt_element_string(e, &text))
        return kt_compile_fail(c, "keyId must be an array with one UUID, or a JSON pointer, here %s",
                               kt_bson_type_name(e->type));
    enum kt_status status = kt_compile_pointer(c, text, &to->pointer);
    to->has_key = true;
    return status;
}

static enum kt_status read_type(struct kt_compile *c, const struct kt_element *e, uint32_t *types)
{
    struct kt_span alias;
    if (!kt_element_string(e, &alias))
        return kt_compile_fail(c, "bsonType must be a type's name or an array of them");
    uint8_t type = kt_bson_type_of_name(alias);
    if (type == 0)
        return kt_compile_fail(c, "'%.*s' is no BSON type's name",
                               (int)(alias.nbytes < 40 ? alias.nbytes : 40), (const char *)alias.data);
    if (!kt_bson_type_random_ok(type))
        return kt_compile_fail(c, "a value of type %s cannot be encrypted", kt_bson_type_name(type));
    if (*types & kt_bson_type_bit(type))
        return kt_compile_fail(c, "type %s stands twice in bsonType", kt_bson_type_name(type));
    *types |= kt_bson_type_bit(type);
    return KT_OK;
}

static enum kt_status read_types(struct kt_compile *c, const struct kt_element *e, uint32_t *types)
{
    *types = 0;
    if (e->type != KT_BSON_ARRAY)
        return read_type(c, e, types);
    struct kt_cursor cursor = kt_cursor_of(e->value);
    struct kt_element one;
    while (kt_cursor_next(&cursor, &one)) {
        enum kt_status status = read_type(c, &one, types);
        if (status != KT_OK)
            return status;
    }
    return *types ? KT_OK
                  : kt_compile_fail(c, "bsonType is an empty array; leave it out to allow every type");
}

/* types NULL: `encryptMetadata`, which takes no bsonType. */
static enum kt_status read_options(struct kt_compile *c, const struct kt_element *element,
                                   struct kt_options *options, uint32_t *types)
{
    const char *what = types ? "encrypt" : "encryptMetadata";
    if (element->type != KT_BSON_DOCUMENT)
        return kt_compile_fail(c, "'%s' must be an object, here %s", what, kt_bson_type_name(element->type));
    struct kt_cursor cursor = kt_cursor_of(element->value);
    struct kt_element e;
    bool algorithm = false, key = false, type = false;
    while (kt_cursor_next(&cursor, &e)) {
        bool *seen = kt_element_is(&e, "algorithm")           ? &algorithm
                     : kt_element_is(&e, "keyId")             ? &key
                     : types && kt_element_is(&e, "bsonType") ? &type
                                                              : NULL;
        if (!seen)
            return kt_compile_fail(c, "unknown field '%s' in '%s', which takes keyId%s",
                                   (const char *)e.name.data, what,
                                   types ? ", algorithm and bsonType" : " and algorithm");
        if (*seen)
            return kt_compile_fail(c, "'%s' stands twice in '%s'", (const char *)e.name.data, what);
        *seen = true;
        enum kt_status status = seen == &algorithm ? read_algorithm(c, &e, options)
                                : seen == &key     ? read_key(c, &e, options)
                                                   : read_types(c, &e, types);
        if (status != KT_OK)
            return status;
    }
    if (!types && !algorithm && !key)
        return kt_compile_fail(c, "'encryptMetadata' must not be empty");
    return KT_OK;
}

enum kt_status kt_compile_metadata(struct kt_compile *c, const struct kt_element *element,
                                   struct kt_options *options)
{
    return read_options(c, element, options, NULL);
}

/* "none", or the types as JSON. */
static void write_types(uint32_t types, char *out, size_t nbytes)
{
    size_t used = 0;
    snprintf(out, nbytes, "%s", types ? "" : "none");
    for (unsigned type = 1; type <= KT_BSON_DECIMAL128 && used < nbytes; type++)
        if (types & kt_bson_type_bit((uint8_t)type))
            used += (size_t)snprintf(out + used, nbytes - used, "%s\"%s\"", used ? "," : "[",
                                     kt_bson_type_name((uint8_t)type));
    if (types && used < nbytes)
        snprintf(out + used, nbytes - used, "]");
}

static enum kt_status check_deterministic(struct kt_compile *c, const struct kt_options *options,
                                          uint32_t types)
{
    char have[256];
    write_types(types, have, sizeof have);
    if (types == 0 || (types & (types - 1)) != 0)
        return kt_compile_fail(
            c, "deterministic needs exactly one bsonType, here %s; name one, or use Random", have);
    for (unsigned type = 1; type <= KT_BSON_DECIMAL128; type++)
        if (types == kt_bson_type_bit((uint8_t)type) && !kt_bson_type_deterministic_ok((uint8_t)type))
            return kt_compile_fail(c, "a value of type %s cannot be encrypted deterministically; use Random",
                                   kt_bson_type_name((uint8_t)type));
    if (options->pointer != KT_NO_POINTER)
        return kt_compile_fail(c,
                               "deterministic needs its key by UUID, not by a JSON pointer; name one, or use "
                               "Random");
    return KT_OK;
}

static enum kt_status add_rule(struct kt_compile *c, const struct kt_options *options, uint32_t types)
{
    struct kt_schema *schema = c->schema;
    if (schema->rules_count == KT_NO_RULE)
        return kt_compile_fail(c, "a schema can have at most %u encrypted fields", KT_NO_RULE);
    if (schema->rules_count == schema->rules_capacity) {
        size_t capacity = schema->rules_capacity ? 2 * schema->rules_capacity : 16;
        struct kt_rule *rules = realloc(schema->rules, capacity * sizeof *rules);
        if (!rules)
            return kt_compile_nomem(c);
        schema->rules = rules;
        schema->rules_capacity = capacity;
    }
    char *path = malloc(c->path.nbytes + 1);
    if (!path)
        return kt_compile_nomem(c);
    if (c->path.nbytes)
        memcpy(path, c->path.data, c->path.nbytes);
    path[c->path.nbytes] = 0;
    struct kt_rule *rule = &schema->rules[schema->rules_count++];
    *rule = (struct kt_rule){
        .path = path, .algorithm = options->algorithm, .types = types, .pointer = options->pointer};
    if (rule->pointer == KT_NO_POINTER)
        memcpy(rule->key_id, options->key_id, KT_UUID_NBYTES);
    return KT_OK;
}

enum kt_status kt_compile_encrypt(struct kt_compile *c, const struct kt_element *element,
                                  const struct kt_options *outer, struct kt_node **leaf)
{
    struct kt_options options = *outer;
    uint32_t types = 0;
    if (c->path.nbytes == 0 && c->at.nbytes == 0)
        return kt_compile_fail(c, "a whole document cannot be encrypted; name its fields in 'properties'");
    enum kt_status status = read_options(c, element, &options, &types);
    if (status != KT_OK)
        return status;
    if (!options.algorithm)
        return kt_compile_fail(c, "no algorithm, neither here nor in an 'encryptMetadata' around it");
    if (!options.has_key)
        return kt_compile_fail(c, "no keyId, neither here nor in an 'encryptMetadata' around it");
    if (options.algorithm == KT_DETERMINISTIC)
        status = check_deterministic(c, &options, types);
    if (status == KT_OK)
        status = add_rule(c, &options, types);
    if (status != KT_OK)
        return status;
    struct kt_node *node = kt_node_new(c->schema);
    if (!node)
        return kt_compile_nomem(c);
    node->rule = node->first_rule = (uint32_t)c->schema->rules_count - 1;
    *leaf = node;
    return KT_OK;
}
