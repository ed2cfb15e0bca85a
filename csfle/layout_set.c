/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "csfle/layout_value.h"

/* A document around an op. For arrays: how far its elements have been counted. */
struct level {
    const struct kt_op *frame; /* NULL: the outermost document */
    const uint8_t *document, *counted;
    uint32_t number;
    bool reachable; /* by the names down to this document */
};

struct around {
    struct level v[KT_BSON_DEPTH_MAX + 1];
    unsigned depth;
};

static void enter(struct around *around, const struct kt_layout *layout, const struct kt_op *frame)
{
    const uint8_t *document = layout->in + frame->value;
    around->v[++around->depth] = (struct level){frame, document, document + 4, 0, false};
}

static void leave(struct around *around, const struct kt_op *op)
{
    while (around->depth > 0) {
        const struct kt_op *frame = around->v[around->depth].frame;
        if (op->element - frame->value < frame->value_nbytes)
            return;
        around->depth--;
    }
}

static const uint8_t *name_of(const struct kt_layout *layout, const struct kt_op *op)
{
    return layout->in + op->element + 1;
}

static bool nameable(const uint8_t *name)
{
    return name[0] != 0 && name[0] != '$' && strchr((const char *)name, '.') == NULL;
}

/* The element behind `at`. The document was walked. */
static const uint8_t *next_element(const uint8_t *at, const uint8_t *stop)
{
    const uint8_t *value = at + 1 + strlen((const char *)at + 1) + 1;
    size_t nbytes;
    if (kt_bson_value_nbytes(*at, value, (size_t)(stop - value), &nbytes) != KT_OK)
        return stop;
    return value + nbytes;
}

/* The server goes through an array by number, whatever the names of its elements are. */
static bool has_its_number(struct level *level, const uint8_t *element)
{
    const uint8_t *stop = level->document + kt_load_le32(level->document) - 1;
    while (level->counted < element) {
        level->counted = next_element(level->counted, stop);
        level->number++;
    }
    uint64_t number = 0;
    const uint8_t *name = element + 1;
    if (*name == 0 || (*name == '0' && name[1] != 0))
        return false;
    for (; *name >= '0' && *name <= '9' && number <= UINT32_MAX; name++)
        number = 10 * number + (uint64_t)(*name - '0');
    return *name == 0 && number == level->number;
}

/* Of several fields of one name the server changes the first. */
static bool has_its_name_alone(const struct level *level, const uint8_t *element)
{
    const char *name = (const char *)element + 1;
    const uint8_t *stop = level->document + kt_load_le32(level->document) - 1;
    for (const uint8_t *p = level->document + 4; p < stop; p = next_element(p, stop))
        if (p != element && strcmp((const char *)p + 1, name) == 0)
            return false;
    return true;
}

static bool named_in(struct level *level, const struct kt_layout *layout, const struct kt_op *op)
{
    const uint8_t *element = layout->in + op->element;
    if (level->frame && level->frame->type == KT_BSON_ARRAY)
        return has_its_number(level, element);
    return nameable(name_of(layout, op)) && has_its_name_alone(level, element);
}

static bool reachable(struct around *around, const struct kt_layout *layout, const struct kt_op *op)
{
    for (unsigned d = 1; d <= around->depth; d++) {
        struct level *level = &around->v[d];
        if (!level->reachable && !named_in(level - 1, layout, level->frame))
            return false;
        level->reachable = true;
    }
    return named_in(&around->v[around->depth], layout, op);
}

static size_t names_nbytes(const struct around *around, const struct kt_layout *layout,
                           const struct kt_op *op)
{
    size_t nbytes = strlen((const char *)name_of(layout, op)) + 1;
    for (unsigned d = 1; d <= around->depth; d++)
        nbytes += strlen((const char *)name_of(layout, around->v[d].frame)) + 1;
    return nbytes;
}

uint64_t kt_layout_set_nbytes(const struct kt_layout *layout, uint32_t doc, const struct kt_op *ops,
                              size_t count)
{
    struct around around;
    around.depth = 0;
    around.v[0] = (struct level){NULL, layout->in + doc, layout->in + doc + 4, 0, true};
    uint64_t nbytes = 5;
    for (size_t i = 0; i < count; i++) {
        const struct kt_op *op = &ops[i];
        leave(&around, op);
        if (op->action == KT_KEEP)
            continue;
        if (op->action == KT_FRAME) {
            enter(&around, layout, op);
            continue;
        }
        if (!reachable(&around, layout, op))
            return 0;
        nbytes += 1 + names_nbytes(&around, layout, op) + kt_new_value_nbytes(op);
    }
    return nbytes;
}

static uint32_t write_name(const struct kt_layout *layout, const struct kt_op *op, uint8_t *out, uint32_t at,
                           uint8_t end)
{
    size_t nbytes = strlen((const char *)name_of(layout, op));
    memcpy(out + at, name_of(layout, op), nbytes);
    out[at + nbytes] = end;
    return at + (uint32_t)nbytes + 1;
}

uint32_t kt_layout_set_write(const struct kt_layout *layout, struct kt_op *ops, size_t count, uint8_t *out,
                             uint32_t at)
{
    struct around around;
    around.depth = 0;
    uint32_t to = at + 4;
    for (size_t i = 0; i < count; i++) {
        struct kt_op *op = &ops[i];
        leave(&around, op);
        if (op->action == KT_KEEP)
            continue;
        if (op->action == KT_FRAME) {
            enter(&around, layout, op);
            continue;
        }
        out[to++] = kt_new_type(op);
        for (unsigned d = 1; d <= around.depth; d++)
            to = write_name(layout, around.v[d].frame, out, to, '.');
        to = write_name(layout, op, out, to, 0);
        kt_write_new_value(layout, op, out, to);
        to += (uint32_t)kt_new_value_nbytes(op);
    }
    out[to++] = 0;
    kt_store_le32(out + at, to - at);
    return to - at;
}
