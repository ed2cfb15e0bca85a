/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/schema_compile.h"

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

/* The keywords of one subschema that are of use, type 0 when absent. */
struct subschema {
    struct kt_element properties, patterns, additional, encrypt, metadata, bson_type, type;
    unsigned count;
};

static struct kt_element *place_of(struct subschema *s, enum keyword keyword)
{
    switch (keyword) {
    case PROPERTIES:
        return &s->properties;
    case PATTERN_PROPERTIES:
        return &s->patterns;
    case ADDITIONAL_PROPERTIES:
        return &s->additional;
    case BSON_TYPE:
        return &s->bson_type;
    case TYPE:
        return &s->type;
    case ENCRYPT:
        return &s->encrypt;
    case ENCRYPT_METADATA:
        return &s->metadata;
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
                                   struct subschema *s)
{
    size_t i = 0;
    while (i < KEYWORDS && !kt_element_is(e, keywords[i].name))
        i++;
    if (i == KEYWORDS)
        return unknown_keyword(c, e);
    if (*seen & (uint64_t)1 << i)
        return kt_compile_fail(c, "keyword '%s' stands here twice", keywords[i].name);
    *seen |= (uint64_t)1 << i;
    s->count++;
    if (keywords[i].keyword == REFUSED)
        return kt_compile_fail(c, "'%s' is not supported; put the schema that it means in its place",
                               keywords[i].name);
    if (keywords[i].keyword == SEARCHED)
        return kt_compile_refuse_below(c, e);
    struct kt_element *place = place_of(s, keywords[i].keyword);
    if (place)
        *place = *e;
    return KT_OK;
}

static enum kt_status read_keywords(struct kt_compile *c, struct kt_span schema, struct subschema *s)
{
    struct kt_cursor cursor = kt_cursor_of(schema);
    struct kt_element e;
    uint64_t seen = 0;
    while (kt_cursor_next(&cursor, &e)) {
        enum kt_status status = take_keyword(c, &e, &seen, s);
        if (status != KT_OK)
            return status;
    }
    if (s->bson_type.type && s->type.type)
        return kt_compile_fail(c, "bsonType and type exclude each other; name one");
    return KT_OK;
}

/* True when the subschema lets through objects alone. */
static bool objects_only(const struct subschema *s)
{
    const struct kt_element *e = s->bson_type.type ? &s->bson_type : &s->type;
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

/* Name in the dotted path: as it stands, a pattern between slashes. */
static enum kt_status enter_path(struct kt_compile *c, struct kt_span name, const char *quote, size_t *mark)
{
    *mark = c->path.nbytes;
    if ((*mark && kt_buf_append(&c->path, ".", 1) != KT_OK) ||
        kt_buf_append(&c->path, quote, strlen(quote)) != KT_OK ||
        kt_buf_append(&c->path, name.data, name.nbytes) != KT_OK ||
        kt_buf_append(&c->path, quote, strlen(quote)) != KT_OK)
        return kt_compile_nomem(c);
    return KT_OK;
}

/* One subschema under `properties` or `patternProperties`, or the one of `additionalProperties`. */
static enum kt_status compile_field(struct kt_compile *c, const struct kt_element *e, struct kt_span name,
                                    const char *quote, const struct kt_options *options,
                                    struct kt_node **child)
{
    size_t at, path;
    enum kt_status status = kt_compile_enter(c, e->name, &at);
    if (status != KT_OK)
        return status;
    if (e->type != KT_BSON_DOCUMENT)
        return kt_compile_fail(c, "must be an object, here %s", kt_bson_type_name(e->type));
    status = enter_path(c, name, quote, &path);
    if (status == KT_OK)
        status = kt_compile_subschema(c, e->value, options, child);
    if (status != KT_OK)
        return status;
    if (*child && quote[0] == 0 && (name.nbytes == 0 || memchr(name.data, '.', name.nbytes)))
        return kt_compile_fail(c, "a field with an encrypted part needs a name without dots; nest "
                                  "'properties' to reach a field inside an object");
    c->path.nbytes = path;
    kt_compile_leave(c, at);
    return KT_OK;
}

static enum kt_status compile_properties(struct kt_compile *c, const struct kt_element *properties,
                                         const struct kt_options *options, struct kt_node *node)
{
    struct kt_cursor cursor = kt_cursor_of(properties->value);
    struct kt_element e;
    while (kt_cursor_next(&cursor, &e)) {
        struct kt_node *child = NULL;
        enum kt_status status = compile_field(c, &e, e.name, "", options, &child);
        if (status != KT_OK)
            return status;
        if (!kt_node_add(node, e.name, child))
            return kt_compile_nomem(c);
    }
    return KT_OK;
}

static enum kt_status compile_regex(struct kt_compile *c, const struct kt_element *e, pcre2_code **regex)
{
    int error;
    PCRE2_SIZE offset;
    /* A name that is not UTF-8 matches as far as it is. */
    *regex = pcre2_compile(e->name.data, e->name.nbytes, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &error, &offset,
                           NULL);
    if (!*regex) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(error, text, sizeof text);
        return kt_compile_fail(c, "'%s' is no regular expression: %s, at %zu", (const char *)e->name.data,
                               (const char *)text, (size_t)offset);
    }
    (void)pcre2_jit_compile(*regex, PCRE2_JIT_COMPLETE); /* where there is no JIT it matches all the same */
    return KT_OK;
}

static enum kt_status compile_patterns(struct kt_compile *c, const struct kt_element *patterns,
                                       const struct kt_options *options, struct kt_node *node)
{
    struct kt_cursor cursor = kt_cursor_of(patterns->value);
    struct kt_element e;
    while (kt_cursor_next(&cursor, &e)) {
        struct kt_node *child = NULL;
        enum kt_status status = compile_field(c, &e, e.name, "/", options, &child);
        pcre2_code *regex = NULL;
        if (status == KT_OK)
            status = compile_regex(c, &e, &regex);
        if (status != KT_OK)
            return status;
        if (!kt_node_add_pattern(node, regex, child)) {
            pcre2_code_free(regex);
            return kt_compile_nomem(c);
        }
    }
    return KT_OK;
}

static enum kt_status compile_members(struct kt_compile *c, const struct subschema *s,
                                      const struct kt_options *options, struct kt_node *node)
{
    enum kt_status status = KT_OK;
    const struct kt_element *maps[] = {&s->properties, &s->patterns};
    for (int i = 0; i < 2 && status == KT_OK; i++) {
        const struct kt_element *e = maps[i];
        if (!e->type)
            continue;
        size_t at;
        status = kt_compile_enter(c, e->name, &at);
        if (status != KT_OK)
            return status;
        if (e->type != KT_BSON_DOCUMENT)
            return kt_compile_fail(c, "must be an object, here %s", kt_bson_type_name(e->type));
        status = i == 0 ? compile_properties(c, e, options, node) : compile_patterns(c, e, options, node);
        if (status == KT_OK)
            kt_compile_leave(c, at);
    }
    if (status == KT_OK && s->additional.type && s->additional.type != KT_BSON_BOOL)
        status = compile_field(c, &s->additional, kt_span_str("*"), "", options, &node->additional);
    return status;
}

/* A field of `properties` whose name a pattern with rules matches too would be under both. */
static enum kt_status check_overlap(struct kt_compile *c, const struct kt_node *node, pcre2_match_data *match)
{
    for (size_t i = 0; i < node->children_count; i++) {
        const struct kt_child *named = &node->children[i];
        struct kt_slot slot = {.name = named->name, .child = named->child};
        const struct kt_node *child;
        if (named->child && kt_node_step_open(c->schema, node, &slot, kt_span_of(named->name, named->nbytes),
                                              match, &child) == KT_STEP_UNDECIDED)
            return kt_compile_fail(c,
                                   "a pattern of patternProperties matches '%s' too, with another rule; make "
                                   "the pattern narrower",
                                   named->name);
    }
    return KT_OK;
}

static enum kt_status finish_node(struct kt_compile *c, struct kt_node *node)
{
    const char *twice;
    enum kt_status status = kt_node_seal(node, &twice);
    if (status == KT_E_EXISTS)
        return kt_compile_fail(c, "'%s' stands twice in properties", twice);
    if (status != KT_OK)
        return kt_compile_nomem(c);
    if (!node->open || node->patterns_count == 0)
        return KT_OK;
    c->schema->has_patterns = true;
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!match)
        return kt_compile_nomem(c);
    status = check_overlap(c, node, match);
    pcre2_match_data_free(match);
    return status;
}

enum kt_status kt_compile_subschema(struct kt_compile *c, struct kt_span schema,
                                    const struct kt_options *outer, struct kt_node **node)
{
    struct subschema s = {0};
    struct kt_options options = *outer;
    *node = NULL;
    enum kt_status status = read_keywords(c, schema, &s);
    if (status != KT_OK)
        return status;
    if (s.encrypt.type) {
        if (s.count > 1)
            return kt_compile_fail(c, "'encrypt' must be the only keyword of its field");
        return kt_compile_encrypt(c, &s.encrypt, outer, node);
    }
    if (s.metadata.type) {
        if (!objects_only(&s))
            return kt_compile_fail(c, "'encryptMetadata' needs bsonType: \"object\" beside it");
        status = kt_compile_metadata(c, &s.metadata, &options);
        if (status != KT_OK)
            return status;
    }
    struct kt_node *mine = kt_node_new(c->schema);
    if (!mine)
        return kt_compile_nomem(c);
    mine->first_rule = (uint32_t)c->schema->rules_count;
    status = compile_members(c, &s, &options, mine);
    if (status == KT_OK)
        status = finish_node(c, mine);
    if (status != KT_OK || c->schema->rules_count == mine->first_rule)
        return status;
    if (!objects_only(&s))
        return kt_compile_fail(c,
                               "fields below are encrypted, so this needs bsonType: \"object\" and no other "
                               "type");
    *node = mine;
    return KT_OK;
}
