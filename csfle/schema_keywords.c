/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/schema_keywords.h"

#include "csfle/bson_type.h"

enum keyword {
    UNKNOWN,
    PROPERTIES,
    PATTERN_PROPERTIES,
    ADDITIONAL_PROPERTIES,
    BSON_TYPE,
    TYPE,
    ENCRYPT,
    ENCRYPT_METADATA,
    REFUSED,   /* would hide rules from us */
    SEARCHED,  /* holds subschemas in which rules mean nothing */
    NO_MATTER, /* constrains values, which are not ours to check */
};

/* MongoDB manual, "$jsonSchema": the keywords; MongoDB refuses others, and so a mistyped one. */
static const struct {
    const char *name;
    enum keyword keyword;
} keywords[] = {
    {"properties", PROPERTIES},
    {"patternProperties", PATTERN_PROPERTIES},
    {"additionalProperties", ADDITIONAL_PROPERTIES},
    {"bsonType", BSON_TYPE},
    {"type", TYPE},
    {"encrypt", ENCRYPT},
    {"encryptMetadata", ENCRYPT_METADATA},
    {"$ref", REFUSED},
    {"items", SEARCHED},
    {"additionalItems", SEARCHED},
    {"allOf", SEARCHED},
    {"anyOf", SEARCHED},
    {"oneOf", SEARCHED},
    {"not", SEARCHED},
    {"dependencies", SEARCHED},
    {"definitions", SEARCHED},
    {"title", NO_MATTER},
    {"description", NO_MATTER},
    {"required", NO_MATTER},
    {"enum", NO_MATTER},
    {"minimum", NO_MATTER},
    {"maximum", NO_MATTER},
    {"exclusiveMinimum", NO_MATTER},
    {"exclusiveMaximum", NO_MATTER},
    {"multipleOf", NO_MATTER},
    {"minLength", NO_MATTER},
    {"maxLength", NO_MATTER},
    {"pattern", NO_MATTER},
    {"minItems", NO_MATTER},
    {"maxItems", NO_MATTER},
    {"uniqueItems", NO_MATTER},
    {"minProperties", NO_MATTER},
    {"maxProperties", NO_MATTER},
    {"$schema", NO_MATTER},
    {"id", NO_MATTER},
    {"default", NO_MATTER},
    {"format", NO_MATTER},
};
#define KEYWORDS (sizeof keywords / sizeof keywords[0])

static struct kt_element *place_of(struct kt_keywords *k, enum keyword keyword)
{
    switch (keyword) {
    case PROPERTIES:
        return &k->properties;
    case PATTERN_PROPERTIES:
        return &k->patterns;
    case ADDITIONAL_PROPERTIES:
        return &k->additional;
    case BSON_TYPE:
        return &k->bson_type;
    case TYPE:
        return &k->type;
    case ENCRYPT:
        return &k->encrypt;
    case ENCRYPT_METADATA:
        return &k->metadata;
    default:
        return NULL;
    }
}

static enum kt_status unknown_keyword(struct kt_compile *c, const struct kt_element *e)
{
    if (kt_element_is(e, "$jsonSchema"))
        return kt_compile_fail(c, "a schemaMap takes the schema itself; put what stands in $jsonSchema here");
    if (kt_element_is(e, "fields") || kt_element_is(e, "escCollection"))
        return kt_compile_fail(c, "this is an encryptedFields document of Queryable Encryption, which is not "
                                  "for CSFLE");
    return kt_compile_fail(c, "unknown keyword '%s'; MongoDB refuses it too", (const char *)e->name.data);
}

static enum kt_status take_keyword(struct kt_compile *c, const struct kt_element *e, uint64_t *seen,
                                   struct kt_keywords *k)
{
    size_t i = 0;
    while (i < KEYWORDS && !kt_element_is(e, keywords[i].name))
        i++;
    if (i == KEYWORDS)
        return unknown_keyword(c, e);
    if (*seen & (uint64_t)1 << i)
        return kt_compile_fail(c, "keyword '%s' stands here twice", keywords[i].name);
    *seen |= (uint64_t)1 << i;
    k->count++;
    if (keywords[i].keyword == REFUSED)
        return kt_compile_fail(c, "'%s' is not supported; put the schema that it means in its place",
                               keywords[i].name);
    if (keywords[i].keyword == SEARCHED)
        return kt_compile_refuse_below(c, e);
    struct kt_element *place = place_of(k, keywords[i].keyword);
    if (place)
        *place = *e;
    return KT_OK;
}

enum kt_status kt_keywords_read(struct kt_compile *c, struct kt_span schema, struct kt_keywords *k)
{
    struct kt_cursor cursor = kt_cursor_of(schema);
    struct kt_element e;
    uint64_t seen = 0;
    while (kt_cursor_next(&cursor, &e)) {
        enum kt_status status = take_keyword(c, &e, &seen, k);
        if (status != KT_OK)
            return status;
    }
    if (k->bson_type.type && k->type.type)
        return kt_compile_fail(c, "bsonType and type exclude each other; name one");
    return KT_OK;
}

bool kt_keywords_objects_only(const struct kt_keywords *k)
{
    const struct kt_element *e = k->bson_type.type ? &k->bson_type : &k->type;
    struct kt_span text;
    if (kt_element_string(e, &text))
        return kt_span_equal(text, kt_span_str("object"));
    struct kt_element only;
    struct kt_cursor cursor;
    if (e->type != KT_BSON_ARRAY)
        return false;
    cursor = kt_cursor_of(e->value);
    return kt_cursor_next(&cursor, &only) && kt_element_string(&only, &text) &&
           kt_span_equal(text, kt_span_str("object")) && !kt_cursor_next(&cursor, &only);
}
