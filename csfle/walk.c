/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/walk.h"

#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/bson_utf8.h"
#include "csfle/schema_node.h"
#include "csfle/walk_core.h"

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u
#define NOT_FIXED SIZE_MAX

enum mode { CHECK, PAYLOADS, SCHEMA };

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

/* One more than the length of the values that always have the same; 0 for the other types. */
static const uint8_t fixed_nbytes_1[256] = {
    [KT_BSON_DOUBLE] = 9,      [KT_BSON_UNDEFINED] = 1, [KT_BSON_OBJECT_ID] = 13, [KT_BSON_DATE] = 9,
    [KT_BSON_NULL] = 1,        [KT_BSON_INT32] = 5,     [KT_BSON_TIMESTAMP] = 9,  [KT_BSON_INT64] = 9,
    [KT_BSON_DECIMAL128] = 17, [KT_BSON_MAX_KEY] = 1,   [KT_BSON_MIN_KEY] = 1,
};

static __attribute__((cold, noinline)) enum kt_status fail(struct walk *w, const uint8_t *at,
                                                           const char *what)
{
    if (w->fault)
        *w->fault = (struct kt_walk_fault){(uint32_t)(at - w->arena), what};
    return KT_E_FORMAT;
}

static bool push_op(struct kt_ops *ops, struct kt_op op)
{
    if (ops->count == ops->capacity) {
        size_t capacity = ops->capacity ? ops->capacity * 2 : 256;
        struct kt_op *v = realloc(ops->v, capacity * sizeof *v);
        if (!v)
            return false;
        ops->v = v;
        ops->capacity = capacity;
    }
    ops->v[ops->count++] = op;
    return true;
}

static struct kt_op op_at(const struct walk *w, const uint8_t *element, const uint8_t *value, size_t nbytes)
{
    return (struct kt_op){
        .element = (uint32_t)(element - w->arena),
        .value = (uint32_t)(value - w->arena),
        .value_nbytes = (uint32_t)nbytes,
        .key = KT_NO_KEY,
        .rule = KT_NO_RULE,
        .type = *element,
    };
}

/* An op for the element, after the ops of the documents around it that have none yet. */
static __attribute__((noinline)) enum kt_status emit(struct walk *w, unsigned depth, struct kt_op op)
{
    for (unsigned d = w->framed + 1; d <= depth; d++) {
        const struct frame *f = &w->frames[d];
        struct kt_op frame = op_at(w, f->element, f->value, (size_t)(f->stop + 1 - f->value));
        frame.action = KT_FRAME;
        if (!push_op(w->ops, frame))
            return KT_E_NOMEM;
    }
    w->framed = depth;
    op.action = KT_KEEP;
    return push_op(w->ops, op) ? KT_OK : KT_E_NOMEM;
}

/* Length of a name, and its first 8 bytes with zeros behind them. A name that is not ended before limit reads
 * as reaching there. */
static inline size_t name_nbytes(const uint8_t *name, const uint8_t *limit, uint64_t *first)
{
    const uint8_t *p = name;
    uint64_t head = 0;
    while (limit - p >= 8) {
        uint64_t word = kt_load_le64(p);
        uint64_t zeros = (word - ONES) & ~word & HIGHS;
        if (zeros) {
            unsigned n = (unsigned)__builtin_ctzll(zeros) / 8;
            if (p == name)
                head = word & (((uint64_t)1 << 8 * n) - 1);
            *first = head;
            return (size_t)(p - name) + n;
        }
        if (p == name)
            head = word;
        p += 8;
    }
    while (p < limit && *p)
        p++;
    size_t nbytes = (size_t)(p - name);
    *first = kt_name_first(name, nbytes);
    return nbytes;
}

/* Text inside a document: the outer length, a type byte, a name's NUL and the text's own length stand before
 * it, so that reading 8 bytes that end with a short text stays inside. */
static inline bool text_ok(const uint8_t *text, size_t nbytes)
{
    uint64_t any = 0;
    if (nbytes >= 8) {
        size_t i = 0;
        for (; i + 32 <= nbytes; i += 32)
            any |= kt_load_le64(text + i) | kt_load_le64(text + i + 8) | kt_load_le64(text + i + 16) |
                   kt_load_le64(text + i + 24);
        for (; i + 8 <= nbytes; i += 8)
            any |= kt_load_le64(text + i);
        any |= kt_load_le64(text + nbytes - 8);
    } else if (nbytes) {
        any = kt_load_le64(text + nbytes - 8) >> (64 - 8 * nbytes);
    }
    return (any & HIGHS) == 0 || kt_utf8_ok(text, nbytes);
}

static inline const char *string_fault(const uint8_t *value, size_t room, size_t *nbytes)
{
    if (room < 5)
        return "string runs past its document";
    uint32_t n = kt_load_le32(value);
    if (n < 1 || n > room - 4)
        return "length of a string does not fit its document";
    if (value[4 + n - 1] != 0)
        return "string does not end with a NUL";
    if (!text_ok(value + 4, n - 1))
        return "string is not UTF-8";
    *nbytes = 4 + (size_t)n;
    return NULL;
}

static inline const char *document_fault(const uint8_t *value, size_t room, size_t *nbytes)
{
    uint32_t n = room >= 5 ? kt_load_le32(value) : 0;
    if (n < 5 || n > room)
        return "length of an embedded document does not fit the document around it";
    if (value[n - 1] != 0)
        return "embedded document does not end with a NUL";
    *nbytes = n;
    return NULL;
}

/* Everything that is neither of fixed length nor a string or a document. */
static __attribute__((noinline)) const char *other_fault(uint8_t type, const uint8_t *value, size_t room,
                                                         size_t *nbytes)
{
    if (kt_bson_type_name(type) == NULL)
        return "unknown type byte";
    if (kt_bson_value_nbytes(type, value, room, nbytes) != KT_OK)
        return "length of a value does not fit its document";
    const uint8_t *string = type == KT_BSON_CODE_W_SCOPE ? value + 4 : value;
    if ((type == KT_BSON_DB_POINTER || type == KT_BSON_CODE_W_SCOPE) &&
        !kt_utf8_ok(string + 4, kt_load_le32(string) - 1))
        return "string is not UTF-8";
    if (type == KT_BSON_BOOL && value[0] > 1)
        return "bool is neither 0 nor 1";
    return NULL;
}

static enum kt_status see_payload(struct walk *w, unsigned depth, const uint8_t *element,
                                  const uint8_t *value, size_t nbytes)
{
    struct kt_payload payload;
    bool broken;
    if (!kt_payload_parse(KT_BSON_BINARY, kt_span_of(value, nbytes), &payload, &broken) && !broken)
        return KT_OK;
    struct kt_op op = op_at(w, element, value, nbytes);
    op.algorithm = broken ? KT_BROKEN_PAYLOAD : 0;
    return emit(w, depth, op);
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
    struct kt_op op = op_at(w, element, value, nbytes);
    op.rule = (uint16_t)child->first_rule;
    if (step == KT_STEP_UNDECIDED)
        op.algorithm = KT_PATH_UNDECIDED;
    else if (!leaf)
        op.algorithm = KT_ARRAY_IN_PATH;
    return emit(w, depth, op);
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

static inline __attribute__((always_inline)) enum kt_status walk(struct walk *w, const uint8_t *document,
                                                                 size_t nbytes, const struct kt_node *node,
                                                                 const struct kt_node *target, enum mode mode)
{
    if (nbytes < 5 || nbytes > INT32_MAX || kt_load_le32(document) != nbytes)
        return fail(w, document, "length of the document differs from its bytes");
    if (document[nbytes - 1] != 0)
        return fail(w, document, "document does not end with a NUL");
    w->limit = document + nbytes;
    w->framed = 0;
    unsigned depth = 0;
    const uint8_t *p = document + 4, *stop = document + nbytes - 1;
    w->frames[0] = (struct frame){.stop = stop, .node = node, .target = target};

    for (;;) {
        uint8_t type = *p;
        if (type == 0) {
            if (p != stop)
                return fail(w, p, "document ends before its length says so");
            if (depth == 0)
                return KT_OK;
            depth--;
            if (mode != CHECK && w->framed > depth)
                w->framed = depth;
            p = stop + 1;
            stop = w->frames[depth].stop;
            if (mode != CHECK)
                node = w->frames[depth].node;
            if (mode == SCHEMA)
                target = w->frames[depth].target;
            continue;
        }
        uint64_t first;
        size_t name_len = name_nbytes(p + 1, w->limit, &first);
        const uint8_t *value = p + 1 + name_len + 1;
        if (value > stop)
            return fail(w, p, "field name runs past its document");
        size_t room = (size_t)(stop - value);
        size_t value_nbytes = (size_t)fixed_nbytes_1[type] - 1;
        bool container = false;
        if (value_nbytes > room) {
            const char *fault = "value runs past its document";
            if (value_nbytes != NOT_FIXED) {
                return fail(w, p, fault);
            } else if (type == KT_BSON_STRING || type == KT_BSON_CODE || type == KT_BSON_SYMBOL) {
                fault = string_fault(value, room, &value_nbytes);
            } else if (type == KT_BSON_DOCUMENT || type == KT_BSON_ARRAY) {
                fault = document_fault(value, room, &value_nbytes);
                container = true;
            } else {
                fault = other_fault(type, value, room, &value_nbytes);
                container = type == KT_BSON_CODE_W_SCOPE;
            }
            if (fault)
                return fail(w, p, fault);
        }

        const struct kt_node *below = NULL, *below_target = NULL;
        enum kt_status status = KT_OK;
        if (mode == SCHEMA && node)
            status = see_rule(w, node, depth, p, name_len, first, value, value_nbytes, &below);
        if (mode == SCHEMA && target)
            below_target = see_target(w, target, type, p + 1, name_len, first, value, value_nbytes);
        if (mode == PAYLOADS && node) {
            if (type == KT_BSON_BINARY)
                status = see_payload(w, depth, p, value, value_nbytes);
            below = node;
        }
        if (status != KT_OK)
            return status;

        if (!container) {
            p = value + value_nbytes;
            continue;
        }
        if (depth == KT_BSON_DEPTH_MAX)
            return fail(w, p, "documents are nested too deeply");
        struct frame *f = &w->frames[++depth];
        f->element = p;
        f->value = value;
        stop = value + value_nbytes - 1;
        p = value + 4;
        if (type == KT_BSON_CODE_W_SCOPE) {
            p += 4 + kt_load_le32(value + 4) + 4;
            below = below_target = NULL;
        }
        f->stop = stop;
        if (mode != CHECK)
            f->node = node = below;
        if (mode == SCHEMA)
            f->target = target = below_target;
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

enum kt_status kt_walk_payloads(const uint8_t *arena, uint32_t at, uint32_t nbytes, struct kt_ops *ops,
                                struct kt_walk_fault *fault)
{
    static const struct kt_node everywhere;
    struct walk w;
    w.arena = arena;
    w.ops = ops;
    w.fault = fault;
    w.match = NULL;
    size_t before = ops->count;
    return finish(&w, walk(&w, arena + at, nbytes, &everywhere, NULL, PAYLOADS), before);
}

enum kt_status kt_walk_check(struct kt_span document)
{
    struct walk w;
    w.arena = document.data;
    w.fault = NULL;
    return walk(&w, document.data, document.nbytes, NULL, NULL, CHECK);
}
