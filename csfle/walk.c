/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/walk.h"

#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/schema_node.h"
#include "csfle/walk_core.h"
#include "csfle/walk_value.h"

enum mode { CHECK, PAYLOADS, KEY_IDS, SCHEMA };

/* A document that is being read. node, target: where we are in the schema's trees; NULL: nowhere. When
 * looking for payloads, node is any pointer but NULL, and NULL inside scopes. */
struct frame {
    const uint8_t *stop; /* its final NUL */
    const struct kt_node *node, *target;
    const uint8_t *element, *value; /* as an element of the document around it */
};

struct walk {
    const uint8_t *arena, *limit; /* limit: one past the outermost document */
    const struct kt_schema *schema;
    struct kt_ops *ops;
    struct kt_pointers *pointers;
    struct kt_walk_fault *fault;
    pcre2_match_data *match;
    unsigned framed; /* frames up to this one have their op */
    struct frame frames[KT_BSON_DEPTH_MAX + 1];
};

static __attribute__((cold, noinline)) enum kt_status fail(struct walk *w, const uint8_t *at,
                                                           const char *what)
{
    if (w->fault)
        *w->fault = (struct kt_walk_fault){(uint32_t)(at - w->arena), what == kt_fault_bool, what};
    return KT_E_FORMAT;
}

static __attribute__((cold, noinline)) bool grow(struct kt_ops *ops)
{
    size_t capacity = ops->capacity ? ops->capacity * 2 : 256;
    struct kt_op *v = realloc(ops->v, capacity * sizeof *v);
    if (!v)
        return false;
    ops->v = v;
    ops->capacity = capacity;
    return true;
}

static inline bool push(struct walk *w, const uint8_t *element, const uint8_t *value, size_t nbytes,
                        uint32_t rule, enum kt_action action, uint8_t algorithm)
{
    struct kt_ops *ops = w->ops;
    if (ops->count == ops->capacity && !grow(ops))
        return false;
    ops->v[ops->count++] = (struct kt_op){
        .element = (uint32_t)(element - w->arena),
        .value = (uint32_t)(value - w->arena),
        .value_nbytes = (uint32_t)nbytes,
        .key = KT_NO_KEY,
        .rule = (uint16_t)rule,
        .action = (uint8_t)action,
        .type = *element,
        .algorithm = algorithm,
    };
    return true;
}

static __attribute__((noinline)) bool push_frames(struct walk *w, unsigned depth)
{
    for (unsigned d = w->framed + 1; d <= depth; d++) {
        const struct frame *f = &w->frames[d];
        if (!push(w, f->element, f->value, (size_t)(f->stop + 1 - f->value), KT_NO_RULE, KT_FRAME, 0))
            return false;
    }
    w->framed = depth;
    return true;
}

/* An op for the element, after the ops of the documents around it that have none yet. */
static inline enum kt_status emit(struct walk *w, unsigned depth, const uint8_t *element,
                                  const uint8_t *value, size_t nbytes, uint32_t rule, uint8_t algorithm)
{
    if (w->framed < depth && !push_frames(w, depth))
        return KT_E_NOMEM;
    return push(w, element, value, nbytes, rule, KT_KEEP, algorithm) ? KT_OK : KT_E_NOMEM;
}

static enum kt_status see_payload(struct walk *w, unsigned depth, const uint8_t *element,
                                  const uint8_t *value, size_t nbytes)
{
    struct kt_payload payload;
    bool broken;
    if (!kt_payload_parse(KT_BSON_BINARY, kt_span_of(value, nbytes), &payload, &broken) && !broken)
        return KT_OK;
    return emit(w, depth, element, value, nbytes, KT_NO_RULE, broken ? KT_BROKEN_PAYLOAD : 0);
}

static enum kt_status see_key_id(struct walk *w, unsigned depth, const uint8_t *element, const uint8_t *value,
                                 size_t nbytes)
{
    if (!kt_payload_key_id(kt_span_of(value, nbytes)))
        return KT_OK;
    return emit(w, depth, element, value, nbytes, KT_NO_RULE, 0);
}

/* Steps down the tree of rules; *below is where to go on inside the value. */
static inline enum kt_status see_rule(struct walk *w, const struct kt_node *node, unsigned depth,
                                      const uint8_t *element, size_t name_len, uint64_t first,
                                      const uint8_t *value, size_t nbytes, const struct kt_node **below)
{
    const struct kt_node *child;
    enum kt_step step = kt_node_step(w->schema, node, element + 1, name_len, first, w->match, &child);
    if (step == KT_STEP_NONE)
        return KT_OK;
    bool leaf = child->rule != KT_NODE_NO_RULE;
    if (step == KT_STEP_CHILD && !leaf && *element != KT_BSON_ARRAY) {
        *below = child;
        return KT_OK;
    }
    uint8_t mark = step == KT_STEP_UNDECIDED ? KT_PATH_UNDECIDED : leaf ? 0 : KT_ARRAY_IN_PATH;
    return emit(w, depth, element, value, nbytes, child->first_rule, mark);
}

static inline const struct kt_node *see_target(struct walk *w, const struct kt_node *target, uint8_t type,
                                               const uint8_t *name, size_t name_len, uint64_t first,
                                               const uint8_t *value, size_t nbytes)
{
    const struct kt_slot *slot = kt_node_slot(target, name, name_len, first);
    if (!slot)
        return NULL;
    uint32_t pointer = slot->child->pointer;
    /* Of two fields of one name the first counts, as it does for the server. */
    if (pointer != KT_NO_POINTER && type == KT_BSON_STRING && !w->pointers->v[pointer].data)
        w->pointers->v[pointer] = kt_span_of(value + 4, nbytes - 5);
    return slot->child;
}

/* Where the walk is: at an element, or at the final NUL of the document that ends at `stop`. */
struct place {
    const uint8_t *p, *stop;
    const struct kt_node *node, *target;
    unsigned depth;
};

static inline void enter(struct walk *w, struct place *at, const uint8_t *value, size_t nbytes,
                         const struct kt_node *node, const struct kt_node *target)
{
    struct frame *f = &w->frames[++at->depth];
    f->element = at->p;
    f->value = value;
    f->stop = at->stop = value + nbytes - 1;
    f->node = at->node = node;
    f->target = at->target = target;
    at->p = value + 4;
}

static inline void leave(struct walk *w, struct place *at)
{
    const struct frame *f = &w->frames[--at->depth];
    if (w->framed > at->depth)
        w->framed = at->depth;
    at->p = at->stop + 1;
    at->stop = f->stop;
    at->node = f->node;
    at->target = f->target;
}

static const char *start(struct walk *w, struct place *at, const uint8_t *document, size_t nbytes)
{
    if (nbytes < 5 || nbytes > INT32_MAX || kt_load_le32(document) != nbytes)
        return "length of the document differs from its bytes";
    if (document[nbytes - 1] != 0)
        return "document does not end with a NUL";
    w->limit = document + nbytes;
    w->framed = 0;
    at->p = document + 4;
    at->stop = w->limit - 1;
    at->depth = 0;
    w->frames[0] = (struct frame){.stop = at->stop, .node = at->node, .target = at->target};
    return NULL;
}

static inline __attribute__((always_inline)) enum kt_status walk(struct walk *w, const uint8_t *document,
                                                                 size_t nbytes, const struct kt_node *node,
                                                                 const struct kt_node *target, enum mode mode)
{
    struct place at = {.node = node, .target = target};
    const char *fault = start(w, &at, document, nbytes);
    if (fault)
        return fail(w, document, fault);
    for (;;) {
        uint8_t type = *at.p;
        if (type == 0) {
            if (at.p != at.stop)
                return fail(w, at.p, "document ends before its length says so");
            if (at.depth == 0)
                return KT_OK;
            leave(w, &at);
            continue;
        }
        uint64_t first;
        size_t name_len = kt_name_nbytes(at.p + 1, w->limit, &first), value_nbytes;
        const uint8_t *value = at.p + 1 + name_len + 1;
        if (value > at.stop)
            return fail(w, at.p, "field name runs past its document");
        fault = kt_value_fault(type, value, (size_t)(at.stop - value), &value_nbytes, mode == CHECK);
        if (fault)
            return fail(w, at.p, fault);

        const struct kt_node *below = NULL, *below_target = NULL;
        enum kt_status status = KT_OK;
        if (mode == SCHEMA && at.node)
            status = see_rule(w, at.node, at.depth, at.p, name_len, first, value, value_nbytes, &below);
        if (mode == SCHEMA && at.target)
            below_target = see_target(w, at.target, type, at.p + 1, name_len, first, value, value_nbytes);
        if (mode == PAYLOADS && at.node && type == KT_BSON_BINARY)
            status = see_payload(w, at.depth, at.p, value, value_nbytes);
        if (mode == KEY_IDS && type == KT_BSON_BINARY)
            status = see_key_id(w, at.depth, at.p, value, value_nbytes);
        if (status != KT_OK)
            return status;

        if (!kt_is_container(type)) {
            at.p = value + value_nbytes;
            continue;
        }
        if (at.depth == KT_BSON_DEPTH_MAX)
            return fail(w, at.p, "documents are nested too deeply");
        if (mode == PAYLOADS)
            below = at.node;
        if (type == KT_BSON_CODE_W_SCOPE) {
            enter(w, &at, value, value_nbytes, NULL, NULL);
            at.p += 4 + kt_load_le32(value + 4) + 4;
        } else {
            enter(w, &at, value, value_nbytes, below, below_target);
        }
    }
}

static enum kt_status finish(struct walk *w, enum kt_status status, size_t ops_before)
{
    if (w->match)
        pcre2_match_data_free(w->match);
    if (status != KT_OK)
        w->ops->count = ops_before;
    return status;
}

enum kt_status kt_walk_schema(const struct kt_schema *schema, const uint8_t *arena, uint32_t at,
                              uint32_t nbytes, struct kt_ops *ops, struct kt_pointers *pointers,
                              struct kt_walk_fault *fault)
{
    struct walk w;
    w.arena = arena;
    w.schema = schema;
    w.ops = ops;
    w.pointers = pointers;
    w.fault = fault;
    w.match = NULL;
    for (size_t i = 0; i < schema->pointers_count; i++)
        pointers->v[i] = kt_span_of(NULL, 0);
    if (schema->has_patterns) {
        w.match = pcre2_match_data_create(1, NULL);
        if (!w.match)
            return KT_E_NOMEM;
    }
    size_t before = ops->count;
    return finish(&w, walk(&w, arena + at, nbytes, schema->root, schema->targets, SCHEMA), before);
}

/* Inlined as walk() is, so that each mode stays a walk of its own. */
static inline __attribute__((always_inline)) enum kt_status
walk_without_schema(const uint8_t *arena, uint32_t at, uint32_t nbytes, const struct kt_node *node,
                    enum mode mode, struct kt_ops *ops, struct kt_walk_fault *fault)
{
    struct walk w;
    w.arena = arena;
    w.ops = ops;
    w.fault = fault;
    w.match = NULL;
    size_t before = ops->count;
    return finish(&w, walk(&w, arena + at, nbytes, node, NULL, mode), before);
}

enum kt_status kt_walk_payloads(const uint8_t *arena, uint32_t at, uint32_t nbytes, struct kt_ops *ops,
                                struct kt_walk_fault *fault)
{
    static const struct kt_node everywhere;
    return walk_without_schema(arena, at, nbytes, &everywhere, PAYLOADS, ops, fault);
}

enum kt_status kt_walk_key_ids(const uint8_t *arena, uint32_t at, uint32_t nbytes, struct kt_ops *ops,
                               struct kt_walk_fault *fault)
{
    return walk_without_schema(arena, at, nbytes, NULL, KEY_IDS, ops, fault);
}

enum kt_status kt_walk_check(struct kt_span document)
{
    struct walk w;
    w.arena = document.data;
    w.fault = NULL;
    return walk(&w, document.data, document.nbytes, NULL, NULL, CHECK);
}
