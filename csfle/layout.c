/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/layout.h"

#include "csfle/bson_type.h"
#include "csfle/layout_value.h"

uint64_t kt_layout_nbytes(uint32_t doc_nbytes, const struct kt_op *ops, size_t count)
{
    uint64_t nbytes = doc_nbytes;
    for (size_t i = 0; i < count; i++)
        if (ops[i].action == KT_SEAL || ops[i].action == KT_OPEN)
            nbytes += kt_new_value_nbytes(&ops[i]) - ops[i].value_nbytes;
    return nbytes;
}

/* An embedded document on the way: where it ends in the old bytes, where its length stands in the new ones,
 * and how much everything before it had grown. */
struct open_frame {
    uint32_t end, at, nbytes, grown;
};

struct writer {
    const struct kt_layout *layout;
    uint8_t *out;
    uint32_t run;   /* old bytes up to here are written */
    uint32_t to;    /* where the next byte goes */
    uint32_t grown; /* new position minus old position, modulo 2^32 */
    unsigned depth;
    struct open_frame frames[KT_BSON_DEPTH_MAX];
};

/* A document whose parts did not grow in sum still has the right length. */
static void close_frames(struct writer *w, uint32_t position)
{
    while (w->depth > 0 && w->frames[w->depth - 1].end <= position) {
        const struct open_frame *f = &w->frames[--w->depth];
        uint32_t more = w->grown - f->grown;
        if (more)
            kt_store_le32(w->out + f->at, f->nbytes + more);
    }
}

static void copy_run(struct writer *w, uint32_t end)
{
    memcpy(w->out + w->to, w->layout->in + w->run, end - w->run);
    w->to += end - w->run;
    w->run = end;
}

static void replace(struct writer *w, struct kt_op *op)
{
    copy_run(w, op->value);
    w->out[op->element + w->grown] = kt_new_type(op);
    size_t nbytes = kt_new_value_nbytes(op);
    kt_write_new_value(w->layout, op, w->out, w->to);
    w->to += (uint32_t)nbytes;
    w->run += op->value_nbytes;
    w->grown += (uint32_t)nbytes - op->value_nbytes;
}

uint32_t kt_layout_write(const struct kt_layout *layout, uint32_t doc, uint32_t doc_nbytes, struct kt_op *ops,
                         size_t count, uint8_t *out, uint32_t at)
{
    struct writer w;
    w.layout = layout;
    w.out = out;
    w.run = doc;
    w.to = at;
    w.grown = at - doc;
    w.depth = 0;
    for (size_t i = 0; i < count; i++) {
        struct kt_op *op = &ops[i];
        close_frames(&w, op->element);
        if (op->action == KT_FRAME)
            w.frames[w.depth++] = (struct open_frame){op->value + op->value_nbytes, op->value + w.grown,
                                                      op->value_nbytes, w.grown};
        else if (op->action != KT_KEEP)
            replace(&w, op);
    }
    close_frames(&w, doc + doc_nbytes);
    copy_run(&w, doc + doc_nbytes);
    kt_store_le32(out + at, w.to - at);
    return w.to - at;
}
