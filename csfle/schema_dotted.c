/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/schema_node.h"

/* A server reads a dotted path name by name, and only these names survive that. */
static bool can_be_dotted(const struct kt_child *child)
{
    return child->nbytes > 0 && child->name[0] != '$' && !memchr(child->name, '.', child->nbytes);
}

static bool all_dotted(const struct kt_node *nodes)
{
    for (const struct kt_node *node = nodes; node; node = node->next) {
        if (node->patterns_count || node->additional)
            return false;
        for (size_t i = 0; i < node->children_count; i++) {
            if (node->children[i].child && !can_be_dotted(&node->children[i]))
                return false;
        }
    }
    return true;
}

bool kt_schema_dotted(const struct kt_schema *schema)
{
    return all_dotted(schema->nodes);
}
