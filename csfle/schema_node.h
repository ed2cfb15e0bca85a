/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled schema as trees that the walk steps through: one of rules, one of pointer targets. A node stands
 * for an object; its children are found by name in an open hash table, so that a thousand fields cost as much
 * as one. Nodes are made while a schema is compiled and do not change afterwards. */
#ifndef KT_CSFLE_SCHEMA_NODE_H
#define KT_CSFLE_SCHEMA_NODE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"
#include "csfle/schema.h"

#define KT_NODE_NO_RULE UINT32_MAX

/* A name of `properties`. child NULL: named, but nothing below it concerns us. */
struct kt_child {
    char *name;
    size_t nbytes;
    struct kt_node *child;
};

/* A slot of the hash table; name NULL: free. first: the first 8 bytes of the name, zeros behind it. */
struct kt_slot {
    uint64_t first;
    const char *name;
    size_t nbytes;
    const struct kt_node *child;
};

/* A regular expression of `patternProperties`. child NULL: as above. */
struct kt_pattern {
    pcre2_code *regex;
    struct kt_node *child;
};

struct kt_node {
    struct kt_node *next; /* of all nodes of the schema */
    struct kt_slot *slots;
    uint32_t mask;
    bool open;           /* names that are not in the table may have a child, or a second one */
    uint32_t rule;       /* of a leaf; else KT_NODE_NO_RULE */
    uint32_t first_rule; /* the lowest rule at or below */
    uint32_t pointer;    /* in the tree of pointers: ends here; else KT_NO_POINTER */
    struct kt_pattern *patterns;
    size_t patterns_count, patterns_capacity;
    struct kt_node *additional; /* what `additionalProperties` says */
    struct kt_child *children;
    size_t children_count, children_capacity;
};

struct kt_schema {
    char *ns;
    struct kt_rule *rules;
    size_t rules_count, rules_capacity;
    char **pointers;
    char **pointers_at; /* JSON pointer in the schema where each was used first */
    size_t pointers_count, pointers_capacity;
    struct kt_node *root;    /* NULL: no rules */
    struct kt_node *targets; /* NULL: no pointers */
    struct kt_node *nodes;
    bool has_patterns;
    pcre2_match_context *match_context;
};

/* Building. NULL or false: memory ran out. */
struct kt_node *kt_node_new(struct kt_schema *schema);
bool kt_node_add(struct kt_node *node, struct kt_span name, struct kt_node *child);
bool kt_node_add_pattern(struct kt_node *node, pcre2_code *regex, struct kt_node *child);
void kt_node_free_all(struct kt_node *nodes);

/* Makes the table, when all children are there; may be repeated after further children came. KT_OK,
 * KT_E_NOMEM, or KT_E_EXISTS: *twice is a name that was added twice. */
KT_MUST_USE enum kt_status kt_node_seal(struct kt_node *node, const char **twice);

enum kt_step {
    KT_STEP_NONE,      /* nothing below this name concerns us */
    KT_STEP_CHILD,     /* *child */
    KT_STEP_UNDECIDED, /* two patterns with different rules match, or one could not be matched within limits;
                        *child is one of them */
};

/* match: made by pcre2_match_data_create; may be NULL when the schema has no patterns. */
enum kt_step kt_node_step_open(const struct kt_schema *schema, const struct kt_node *node,
                               const struct kt_slot *slot, struct kt_span name, pcre2_match_data *match,
                               const struct kt_node **child);

static inline uint64_t kt_name_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* The first 8 bytes of a name of known length, by single bytes. */
static inline uint64_t kt_name_first(const uint8_t *name, size_t nbytes)
{
    uint64_t word = 0;
    memcpy(&word, name, nbytes < sizeof word ? nbytes : sizeof word);
    return word;
}

static inline uint64_t kt_name_hash(const uint8_t *name, size_t nbytes, uint64_t first)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t h = (first ^ nbytes) * odd;
    if (nbytes > 8) {
        for (size_t i = 8; i + 8 < nbytes; i += 8)
            h = ((h ^ h >> 29) ^ kt_name_word(name + i)) * odd;
        h = ((h ^ h >> 29) ^ kt_name_word(name + nbytes - 8)) * odd;
    }
    return h >> 32;
}

static inline const struct kt_slot *kt_node_slot(const struct kt_node *node, const uint8_t *name,
                                                 size_t nbytes, uint64_t first)
{
    for (uint64_t i = kt_name_hash(name, nbytes, first);; i++) {
        const struct kt_slot *slot = &node->slots[i & node->mask];
        if (!slot->name)
            return NULL;
        if (slot->first == first && slot->nbytes == nbytes &&
            (nbytes <= 8 || memcmp(slot->name + 8, name + 8, nbytes - 8) == 0))
            return slot;
    }
}

/* Whether a node stands below `node` for an element of this name. */
static inline enum kt_step kt_node_step(const struct kt_schema *schema, const struct kt_node *node,
                                        const uint8_t *name, size_t nbytes, uint64_t first,
                                        pcre2_match_data *match, const struct kt_node **child)
{
    const struct kt_slot *slot = kt_node_slot(node, name, nbytes, first);
    if (node->open)
        return kt_node_step_open(schema, node, slot, kt_span_of(name, nbytes), match, child);
    if (!slot || !slot->child)
        return KT_STEP_NONE;
    *child = slot->child;
    return KT_STEP_CHILD;
}

#endif
