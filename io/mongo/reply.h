/* SPDX-License-Identifier: Apache-2.0 */
/* What a reply holds. The driver hands replies on without looking into them, and its iterator stops at what
 * it cannot read as if it were the end: here, what is broken is told from what is over. */
#ifndef KT_IO_MONGO_REPLY_H
#define KT_IO_MONGO_REPLY_H

#include <bson/bson.h>
#include <stdbool.h>

/* Whether a reply says that its command was done. */
bool kt_reply_is_ok(const bson_t *reply);

/* A document or an array as a document of its own. False: it is neither, or has no end. */
bool kt_reply_view(const bson_iter_t *iter, bson_t *view);

/* A figure, for people and plans: what is missing, negative or no number is 0, what is absurd a quadrillion.
 */
uint64_t kt_reply_figure(const bson_t *reply, const char *dotted);

/* The documents of a reply to a command that answers with a cursor; all is borrowed from the reply. */
struct kt_reply_batch {
    int64_t cursor; /* 0: there is no more */
    const char *ns; /* that it reads; NULL: it does not say */
    bson_iter_t docs;
    uint32_t count, nbytes; /* documents, and all of their bytes */
};

/* Each of its documents has its length and its end; what is inside is not looked at. False: it is no such
 * reply. */
bool kt_reply_batch_open(struct kt_reply_batch *batch, const bson_t *reply);
bool kt_reply_batch_next(struct kt_reply_batch *batch, bson_t *doc);

#endif
