/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_type.h"
#include "csfle/schema_keywords.h"

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

static enum kt_status compile_members(struct kt_compile *c, const struct kt_keywords *k,
                                      const struct kt_options *options, struct kt_node *node)
{
    enum kt_status status = KT_OK;
    const struct kt_element *maps[] = {&k->properties, &k->patterns};
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
    if (status == KT_OK && k->additional.type && k->additional.type != KT_BSON_BOOL)
        status = compile_field(c, &k->additional, kt_span_str("*"), "", options, &node->additional);
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
    struct kt_keywords k = {0};
    struct kt_options options = *outer;
    *node = NULL;
    enum kt_status status = kt_keywords_read(c, schema, &k);
    if (status != KT_OK)
        return status;
    if (k.encrypt.type) {
        if (k.count > 1)
            return kt_compile_fail(c, "'encrypt' must be the only keyword of its field");
        return kt_compile_encrypt(c, &k.encrypt, outer, node);
    }
    if (k.metadata.type) {
        if (!kt_keywords_objects_only(&k))
            return kt_compile_fail(c, "'encryptMetadata' needs bsonType: \"object\" beside it");
        status = kt_compile_metadata(c, &k.metadata, &options);
        if (status != KT_OK)
            return status;
    }
    struct kt_node *mine = kt_node_new(c->schema);
    if (!mine)
        return kt_compile_nomem(c);
    mine->first_rule = (uint32_t)c->schema->rules_count;
    status = compile_members(c, &k, &options, mine);
    if (status == KT_OK)
        status = finish_node(c, mine);
    if (status != KT_OK || c->schema->rules_count == mine->first_rule)
        return status;
    if (!kt_keywords_objects_only(&k))
        return kt_compile_fail(c,
                               "fields below are encrypted, so this needs bsonType: \"object\" and no other "
                               "type");
    *node = mine;
    return KT_OK;
}
