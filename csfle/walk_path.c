/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "csfle/walk.h"

/* Adds one name; false when nothing more fits. */
static bool add_name(const uint8_t *arena, const struct kt_op *op, char *out, size_t nbytes, size_t *used)
{
    if (*used > 0 && *used + 1 < nbytes)
        out[(*used)++] = '.';
    const uint8_t *name = arena + op->element + 1;
    while (*name && *used + 1 < nbytes)
        out[(*used)++] = (char)*name++;
    return *name == 0;
}

void kt_op_path(const uint8_t *arena, const struct kt_ops *ops, size_t first, size_t i, char *out,
                size_t nbytes)
{
    if (nbytes == 0)
        return;
    const struct kt_op *op = &ops->v[i];
    size_t used = 0;
    bool fits = true;
    for (size_t f = first; f < i && fits; f++) {
        const struct kt_op *frame = &ops->v[f];
        if (frame->action == KT_FRAME && op->element - frame->value < frame->value_nbytes)
            fits = add_name(arena, frame, out, nbytes, &used);
    }
    if (fits)
        add_name(arena, op, out, nbytes, &used);
    out[used] = 0;
}

uint8_t kt_doc_id(const uint8_t *arena, uint32_t at, struct kt_span *value)
{
    const uint8_t *p = arena + at + 4, *stop = arena + at + kt_load_le32(arena + at) - 1;
    while (p < stop) {
        const uint8_t *name_end = memchr(p + 1, 0, (size_t)(stop - p - 1));
        size_t nbytes;
        if (!name_end ||
            kt_bson_value_nbytes(*p, name_end + 1, (size_t)(stop - name_end - 1), &nbytes) != KT_OK)
            return 0;
        if (name_end - p == 4 && memcmp(p + 1, "_id", 3) == 0) {
            *value = kt_span_of(name_end + 1, nbytes);
            return *p;
        }
        p = name_end + 1 + nbytes;
    }
    return 0;
}

void kt_ops_free(struct kt_ops *ops)
{
    free(ops->v);
    *ops = (struct kt_ops){0};
}
