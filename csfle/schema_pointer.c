/* SPDX-License-Identifier: Apache-2.0 */
/* JSON pointers to key names: RFC 6901. */
#include <stdlib.h>

#include "csfle/schema_compile.h"

static bool well_escaped(struct kt_span text)
{
    for (size_t i = 0; i < text.nbytes; i++)
        if (text.data[i] == '~' &&
            (i + 1 == text.nbytes || (text.data[i + 1] != '0' && text.data[i + 1] != '1')))
            return false;
    return true;
}

static bool has_empty_name(struct kt_span text)
{
    for (size_t i = 0; i < text.nbytes; i++)
        if (text.data[i] == '/' && (i + 1 == text.nbytes || text.data[i + 1] == '/'))
            return true;
    return false;
}

static char *copy_text(const uint8_t *data, size_t nbytes)
{
    char *copy = malloc(nbytes + 1);
    if (!copy)
        return NULL;
    if (nbytes)
        memcpy(copy, data, nbytes);
    copy[nbytes] = 0;
    return copy;
}

static bool reserve_pointer(struct kt_schema *schema)
{
    if (schema->pointers_count < schema->pointers_capacity)
        return true;
    size_t capacity = schema->pointers_capacity ? 2 * schema->pointers_capacity : 4;
    char **pointers = realloc(schema->pointers, capacity * sizeof *pointers);
    if (!pointers)
        return false;
    schema->pointers = pointers;
    char **at = realloc(schema->pointers_at, capacity * sizeof *at);
    if (!at)
        return false;
    schema->pointers_at = at;
    schema->pointers_capacity = capacity;
    return true;
}

static enum kt_status add_pointer(struct kt_compile *c, struct kt_span text, uint32_t *number)
{
    struct kt_schema *schema = c->schema;
    if (!reserve_pointer(schema))
        return kt_compile_nomem(c);
    char *pointer = copy_text(text.data, text.nbytes), *at = copy_text(c->at.data, c->at.nbytes);
    if (!pointer || !at) {
        free(pointer);
        free(at);
        return kt_compile_nomem(c);
    }
    *number = (uint32_t)schema->pointers_count;
    schema->pointers[schema->pointers_count] = pointer;
    schema->pointers_at[schema->pointers_count++] = at;
    return KT_OK;
}

enum kt_status kt_compile_pointer(struct kt_compile *c, struct kt_span text, uint32_t *number)
{
    const char *shown = (const char *)text.data; /* BSON strings end with a NUL */
    if (text.nbytes == 0 || text.data[0] != '/')
        return kt_compile_fail(c, "keyId '%s' is no JSON pointer, which begins with '/', and no UUID", shown);
    if (memchr(text.data, 0, text.nbytes) || !well_escaped(text) || has_empty_name(text))
        return kt_compile_fail(c, "keyId '%s' is no JSON pointer to a field (RFC 6901)", shown);
    for (size_t i = 0; i < c->schema->pointers_count; i++) {
        if (kt_span_equal(kt_span_str(c->schema->pointers[i]), text)) {
            *number = (uint32_t)i;
            return KT_OK;
        }
    }
    return add_pointer(c, text, number);
}

/* Next name of a pointer into name, unescaped, at most as long as the rest; false at its end. */
static bool next_name(const char **rest, char *name, size_t *nbytes)
{
    if (**rest != '/')
        return false;
    size_t n = 0;
    const char *p = *rest + 1;
    for (; *p && *p != '/'; p++) {
        if (*p == '~')
            name[n++] = *++p == '1' ? '/' : '~';
        else
            name[n++] = *p;
    }
    *rest = p;
    *nbytes = n;
    return true;
}

static struct kt_node *child_named(const struct kt_node *node, struct kt_span name)
{
    for (size_t i = 0; i < node->children_count; i++)
        if (kt_span_equal(kt_span_of(node->children[i].name, node->children[i].nbytes), name))
            return node->children[i].child;
    return NULL;
}

static enum kt_status fail_target(struct kt_compile *c, size_t pointer, const char *why)
{
    c->at.nbytes = 0;
    const char *at = c->schema->pointers_at[pointer];
    if (kt_buf_append(&c->at, at, strlen(at)) != KT_OK)
        return kt_compile_nomem(c);
    return kt_compile_fail(c, "keyId '%s' %s", c->schema->pointers[pointer], why);
}

/* One name further down both trees. *rule becomes NULL where there are no rules any more. */
static enum kt_status step_target(struct kt_compile *c, size_t pointer, struct kt_span name,
                                  pcre2_match_data *match, const struct kt_node **rule,
                                  struct kt_node **target)
{
    const struct kt_node *below = NULL;
    if (*rule) {
        enum kt_step step = kt_node_step(c->schema, *rule, name.data, name.nbytes,
                                         kt_name_first(name.data, name.nbytes), match, &below);
        if (step == KT_STEP_NONE)
            below = NULL;
        if (step == KT_STEP_UNDECIDED || (below && below->rule != KT_NODE_NO_RULE))
            return fail_target(c, pointer, "points at or into a field that is encrypted itself");
    }
    *rule = below;
    struct kt_node *child = child_named(*target, name);
    if (!child) {
        child = kt_node_new(c->schema);
        if (!child || !kt_node_add(*target, name, child))
            return kt_compile_nomem(c);
    }
    *target = child;
    return KT_OK;
}

static enum kt_status compile_target(struct kt_compile *c, size_t pointer, pcre2_match_data *match)
{
    const char *rest = c->schema->pointers[pointer];
    char *name = malloc(strlen(rest) + 1);
    if (!name)
        return kt_compile_nomem(c);
    const struct kt_node *rule = c->schema->root;
    struct kt_node *target = c->schema->targets;
    enum kt_status status = KT_OK;
    size_t nbytes;
    while (status == KT_OK && next_name(&rest, name, &nbytes))
        status = step_target(c, pointer, kt_span_of(name, nbytes), match, &rule, &target);
    free(name);
    if (status != KT_OK)
        return status;
    if (rule)
        return fail_target(c, pointer, "points at an object with encrypted fields; it must reach a string");
    target->pointer = (uint32_t)pointer;
    return KT_OK;
}

static enum kt_status seal_all(struct kt_compile *c, const struct kt_node *above)
{
    const char *twice;
    for (struct kt_node *node = c->schema->nodes; node != above; node = node->next)
        if (kt_node_seal(node, &twice) != KT_OK)
            return kt_compile_nomem(c);
    return KT_OK;
}

enum kt_status kt_compile_targets(struct kt_compile *c)
{
    struct kt_schema *schema = c->schema;
    if (schema->pointers_count == 0)
        return KT_OK;
    const struct kt_node *rules = schema->nodes;
    schema->targets = kt_node_new(schema);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    enum kt_status status = schema->targets && match ? KT_OK : kt_compile_nomem(c);
    for (size_t i = 0; i < schema->pointers_count && status == KT_OK; i++)
        status = compile_target(c, i, match);
    pcre2_match_data_free(match);
    return status == KT_OK ? seal_all(c, rules) : status;
}
