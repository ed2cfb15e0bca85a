/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/schema_node.h"

#include <stdlib.h>

struct kt_node *kt_node_new(struct kt_schema *schema)
{
    struct kt_node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->rule = node->first_rule = KT_NODE_NO_RULE;
    node->pointer = KT_NO_POINTER;
    node->next = schema->nodes;
    schema->nodes = node;
    return node;
}

static void *grow(void *v, size_t count, size_t *capacity, size_t each)
{
    if (v && count < *capacity)
        return v;
    size_t more = *capacity ? *capacity * 2 : 4;
    void *grown = realloc(v, more * each);
    if (grown)
        *capacity = more;
    return grown;
}

bool kt_node_add(struct kt_node *node, struct kt_span name, struct kt_node *child)
{
    struct kt_child *children =
        grow(node->children, node->children_count, &node->children_capacity, sizeof *children);
    if (!children)
        return false;
    node->children = children;
    char *copy = malloc(name.nbytes + 1);
    if (!copy)
        return false;
    if (name.nbytes)
        memcpy(copy, name.data, name.nbytes);
    copy[name.nbytes] = 0;
    children[node->children_count++] = (struct kt_child){copy, name.nbytes, child};
    return true;
}

bool kt_node_add_pattern(struct kt_node *node, pcre2_code *regex, struct kt_node *child)
{
    struct kt_pattern *patterns =
        grow(node->patterns, node->patterns_count, &node->patterns_capacity, sizeof *patterns);
    if (!patterns)
        return false;
    node->patterns = patterns;
    patterns[node->patterns_count++] = (struct kt_pattern){regex, child};
    return true;
}

static bool any_pattern_leads_on(const struct kt_node *node)
{
    for (size_t i = 0; i < node->patterns_count; i++)
        if (node->patterns[i].child)
            return true;
    return false;
}

/* False when the name is there already. */
static bool insert(struct kt_node *node, const struct kt_child *child)
{
    const uint8_t *name = (const uint8_t *)child->name;
    uint64_t first = kt_name_first(name, child->nbytes);
    if (kt_node_slot(node, name, child->nbytes, first))
        return false;
    uint64_t i = kt_name_hash(name, child->nbytes, first);
    while (node->slots[i & node->mask].name)
        i++;
    node->slots[i & node->mask] = (struct kt_slot){first, child->name, child->nbytes, child->child};
    return true;
}

enum kt_status kt_node_seal(struct kt_node *node, const char **twice)
{
    node->open = node->additional || any_pattern_leads_on(node);
    size_t slots = 4;
    while (slots < 2 * node->children_count + 1)
        slots *= 2;
    free(node->slots);
    node->slots = calloc(slots, sizeof *node->slots);
    if (!node->slots)
        return KT_E_NOMEM;
    node->mask = (uint32_t)(slots - 1);
    for (size_t i = 0; i < node->children_count; i++) {
        if (!insert(node, &node->children[i])) {
            *twice = node->children[i].name;
            return KT_E_EXISTS;
        }
    }
    return KT_OK;
}

void kt_node_free_all(struct kt_node *nodes)
{
    while (nodes) {
        struct kt_node *node = nodes;
        nodes = node->next;
        for (size_t i = 0; i < node->children_count; i++)
            free(node->children[i].name);
        for (size_t i = 0; i < node->patterns_count; i++)
            pcre2_code_free(node->patterns[i].regex);
        free(node->children);
        free(node->patterns);
        free(node->slots);
        free(node);
    }
}

static bool same_rule(const struct kt_schema *schema, const struct kt_node *a, const struct kt_node *b)
{
    if (a->rule == KT_NODE_NO_RULE || b->rule == KT_NODE_NO_RULE)
        return false;
    const struct kt_rule *x = &schema->rules[a->rule], *y = &schema->rules[b->rule];
    return x->algorithm == y->algorithm && x->types == y->types && x->pointer == y->pointer &&
           kt_span_equal(kt_span_of(x->key_id, sizeof x->key_id), kt_span_of(y->key_id, sizeof y->key_id));
}

enum kt_step kt_node_step_open(const struct kt_schema *schema, const struct kt_node *node,
                               const struct kt_slot *slot, struct kt_span name, pcre2_match_data *match,
                               const struct kt_node **child)
{
    bool matched = slot != NULL;
    const struct kt_node *found = slot ? slot->child : NULL;
    for (size_t i = 0; i < node->patterns_count; i++) {
        const struct kt_pattern *pattern = &node->patterns[i];
        if (!pattern->child && (matched || !node->additional))
            continue;
        int rc = pcre2_match(pattern->regex, name.data, name.nbytes, 0, 0, match, schema->match_context);
        if (rc == PCRE2_ERROR_NOMATCH)
            continue;
        matched = true;
        if (rc < 0) {
            *child = pattern->child ? pattern->child : node->additional;
            return KT_STEP_UNDECIDED;
        }
        if (!pattern->child)
            continue;
        if (found && !same_rule(schema, found, pattern->child)) {
            *child = found;
            return KT_STEP_UNDECIDED;
        }
        found = pattern->child;
    }
    if (!matched)
        found = node->additional;
    *child = found;
    return found ? KT_STEP_CHILD : KT_STEP_NONE;
}
