/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/schema_compile.h"

/* A pattern that backtracks more than this over one field name is given up; names are short. */
#define MATCH_LIMIT 100000

struct kt_schema_map {
    struct kt_schema **schemas;
    size_t count;
};

enum kt_status kt_compile_fail(struct kt_compile *c, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return kt_fail(c->err, KT_E_SCHEMA, "%s: %s: %.*s%s%s", c->source, c->schema->ns, (int)c->at.nbytes,
                   c->at.nbytes ? (const char *)c->at.data : "", c->at.nbytes ? ": " : "", text);
}

enum kt_status kt_compile_nomem(struct kt_compile *c)
{
    return kt_fail(c->err, KT_E_NOMEM, "%s: %s: memory ran out", c->source, c->schema->ns);
}

enum kt_status kt_compile_enter(struct kt_compile *c, struct kt_span key, size_t *mark)
{
    *mark = c->at.nbytes;
    enum kt_status status = kt_buf_append(&c->at, "/", 1);
    for (size_t i = 0; i < key.nbytes && status == KT_OK; i++) {
        uint8_t byte = key.data[i];
        if (byte == '~' || byte == '/')
            status = kt_buf_append(&c->at, byte == '~' ? "~0" : "~1", 2);
        else
            status = kt_buf_append(&c->at, &byte, 1);
    }
    return status == KT_OK ? KT_OK : kt_compile_nomem(c);
}

void kt_compile_leave(struct kt_compile *c, size_t mark)
{
    c->at.nbytes = mark;
}

static void schema_free(struct kt_schema *schema)
{
    if (!schema)
        return;
    for (size_t i = 0; i < schema->rules_count; i++)
        free((void *)schema->rules[i].path);
    for (size_t i = 0; i < schema->pointers_count; i++) {
        free(schema->pointers[i]);
        free(schema->pointers_at[i]);
    }
    free(schema->rules);
    free(schema->pointers);
    free(schema->pointers_at);
    kt_node_free_all(schema->nodes);
    pcre2_match_context_free(schema->match_context);
    free(schema->ns);
    free(schema);
}

static struct kt_schema *schema_new(struct kt_span ns)
{
    struct kt_schema *schema = calloc(1, sizeof *schema);
    if (!schema)
        return NULL;
    schema->ns = malloc(ns.nbytes + 1);
    schema->match_context = pcre2_match_context_create(NULL);
    if (!schema->ns || !schema->match_context) {
        schema_free(schema);
        return NULL;
    }
    memcpy(schema->ns, ns.data, ns.nbytes);
    schema->ns[ns.nbytes] = 0;
    pcre2_set_match_limit(schema->match_context, MATCH_LIMIT);
    return schema;
}

/* The server refuses BinData 6 as _id, and an object with such a part too. */
static enum kt_status check_id(struct kt_compile *c)
{
    const struct kt_node *root = c->schema->root, *child;
    if (!root)
        return KT_OK;
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!match)
        return kt_compile_nomem(c);
    const uint8_t *id = (const uint8_t *)"_id";
    enum kt_step step = kt_node_step(c->schema, root, id, 3, kt_name_first(id, 3), match, &child);
    pcre2_match_data_free(match);
    if (step == KT_STEP_NONE)
        return KT_OK;
    return kt_compile_fail(c,
                           "_id cannot be encrypted, nor a part of it; where a pattern or "
                           "additionalProperties reaches it, narrow the pattern, or name _id in properties");
}

static enum kt_status compile(struct kt_compile *c, struct kt_span document)
{
    struct kt_options none = {.pointer = KT_NO_POINTER};
    enum kt_status status = kt_compile_subschema(c, document, &none, &c->schema->root);
    if (status == KT_OK)
        status = check_id(c);
    return status == KT_OK ? kt_compile_targets(c) : status;
}

static bool is_namespace(struct kt_span ns)
{
    const uint8_t *dot = memchr(ns.data, '.', ns.nbytes);
    return dot && dot > ns.data && dot + 1 < ns.data + ns.nbytes;
}

static enum kt_status add_schema(struct kt_schema_map *map, const struct kt_element *e, const char *source,
                                 struct kt_error *err)
{
    const char *ns = (const char *)e->name.data;
    if (!is_namespace(e->name))
        return kt_fail(err, KT_E_SCHEMA,
                       "%s: '%s' is no namespace; a schemaMap is {\"database.collection\": schema, ...}",
                       source, ns);
    if (e->type != KT_BSON_DOCUMENT)
        return kt_fail(err, KT_E_SCHEMA, "%s: %s: the schema must be an object, here %s", source, ns,
                       kt_bson_type_name(e->type));
    if (kt_schema_map_find(map, ns))
        return kt_fail(err, KT_E_SCHEMA, "%s: %s stands there twice", source, ns);
    struct kt_schema **schemas = realloc(map->schemas, (map->count + 1) * sizeof *schemas);
    if (schemas)
        map->schemas = schemas;
    struct kt_schema *schema = schemas ? schema_new(e->name) : NULL;
    if (!schema)
        return kt_fail(err, KT_E_NOMEM, "%s: %s: memory ran out", source, ns);
    map->schemas[map->count++] = schema;
    struct kt_compile c = {.schema = schema, .source = source, .err = err};
    enum kt_status status = compile(&c, e->value);
    kt_buf_free(&c.at);
    kt_buf_free(&c.path);
    return status;
}

enum kt_status kt_schema_map_new(struct kt_schema_map **map, struct kt_span map_bson, const char *source,
                                 struct kt_error *err)
{
    *map = NULL;
    if (kt_bson_check_value(KT_BSON_DOCUMENT, map_bson) != KT_OK)
        return kt_fail(err, KT_E_SCHEMA, "%s: the schemaMap is no valid BSON document", source);
    struct kt_schema_map *made = calloc(1, sizeof *made);
    if (!made)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", source);
    struct kt_cursor cursor = kt_cursor_of(map_bson);
    struct kt_element e;
    while (kt_cursor_next(&cursor, &e)) {
        enum kt_status status = add_schema(made, &e, source, err);
        if (status != KT_OK) {
            kt_schema_map_free(made);
            return status;
        }
    }
    *map = made;
    return KT_OK;
}

void kt_schema_map_free(struct kt_schema_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; i < map->count; i++)
        schema_free(map->schemas[i]);
    free(map->schemas);
    free(map);
}

size_t kt_schema_map_count(const struct kt_schema_map *map)
{
    return map->count;
}

const struct kt_schema *kt_schema_map_at(const struct kt_schema_map *map, size_t i)
{
    return map->schemas[i];
}

const struct kt_schema *kt_schema_map_find(const struct kt_schema_map *map, const char *ns)
{
    for (size_t i = 0; i < map->count; i++)
        if (kt_span_equal(kt_span_str(map->schemas[i]->ns), kt_span_str(ns)))
            return map->schemas[i];
    return NULL;
}

size_t kt_schema_rules(const struct kt_schema *schema)
{
    return schema->rules_count;
}

const struct kt_rule *kt_schema_rule(const struct kt_schema *schema, size_t i)
{
    return &schema->rules[i];
}

size_t kt_schema_pointers(const struct kt_schema *schema)
{
    return schema->pointers_count;
}

const char *kt_schema_pointer(const struct kt_schema *schema, size_t i)
{
    return schema->pointers[i];
}

const char *kt_schema_ns(const struct kt_schema *schema)
{
    return schema->ns;
}
