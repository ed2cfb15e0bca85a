/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_type.h"
#include "csfle/schema_compile.h"

/* What the value of a keyword is: a subschema or an array of them, or an object whose values are. */
enum holds { OTHER, SUBSCHEMAS, MAP };

static enum holds holds_of(const struct kt_element *e)
{
    static const char *const subschemas[] = {
        "items", "additionalItems", "additionalProperties", "allOf", "anyOf", "oneOf", "not"};
    static const char *const maps[] = {"properties", "patternProperties", "dependencies", "definitions"};
    for (size_t i = 0; i < sizeof subschemas / sizeof subschemas[0]; i++)
        if (kt_element_is(e, subschemas[i]))
            return SUBSCHEMAS;
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        if (kt_element_is(e, maps[i]))
            return MAP;
    return OTHER;
}

/* keyword: the one under which everything here stands, for the message. */
static enum kt_status search_keyword(struct kt_compile *c, const struct kt_element *e, const char *keyword);

static enum kt_status search_subschema(struct kt_compile *c, struct kt_span schema, const char *keyword)
{
    struct kt_cursor cursor = kt_cursor_of(schema);
    struct kt_element e;
    while (kt_cursor_next(&cursor, &e)) {
        if (kt_element_is(&e, "encrypt") || kt_element_is(&e, "encryptMetadata"))
            return kt_compile_fail(c,
                                   "'%s' cannot stand under '%s'; only fields reached by 'properties', "
                                   "'patternProperties' or 'additionalProperties' can be encrypted",
                                   (const char *)e.name.data, keyword);
        enum kt_status status = search_keyword(c, &e, keyword);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

/* Each object among the values of an object or array. */
static enum kt_status search_members(struct kt_compile *c, struct kt_span members, const char *keyword)
{
    struct kt_cursor cursor = kt_cursor_of(members);
    struct kt_element e;
    while (kt_cursor_next(&cursor, &e)) {
        if (e.type != KT_BSON_DOCUMENT)
            continue;
        size_t at;
        enum kt_status status = kt_compile_enter(c, e.name, &at);
        if (status == KT_OK)
            status = search_subschema(c, e.value, keyword);
        if (status != KT_OK)
            return status;
        kt_compile_leave(c, at);
    }
    return KT_OK;
}

static enum kt_status search_keyword(struct kt_compile *c, const struct kt_element *e, const char *keyword)
{
    enum holds holds = holds_of(e);
    if (holds == OTHER || (e->type != KT_BSON_DOCUMENT && e->type != KT_BSON_ARRAY))
        return KT_OK;
    size_t at;
    enum kt_status status = kt_compile_enter(c, e->name, &at);
    if (status != KT_OK)
        return status;
    if (holds == SUBSCHEMAS && e->type == KT_BSON_DOCUMENT)
        status = search_subschema(c, e->value, keyword);
    else
        status = search_members(c, e->value, keyword);
    if (status == KT_OK)
        kt_compile_leave(c, at);
    return status;
}

enum kt_status kt_compile_refuse_below(struct kt_compile *c, const struct kt_element *keyword)
{
    return search_keyword(c, keyword, (const char *)keyword->name.data);
}
