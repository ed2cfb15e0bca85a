/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a stream of BSON documents into runs of whole ones. Bytes go from read(2) straight to where the caller
 * wants them; only what lies behind the last whole document waits in between. */
#ifndef KT_IO_FILE_FEED_H
#define KT_IO_FILE_FEED_H

#include "io/file/input.h"

struct kt_feed {
    struct kt_input *in; /* owned */
    bool marks;          /* ff ff ff ff may stand where a document could: an archive's terminator */
    bool sums;           /* keep crc */
    bool ended;          /* the input gave its last byte */
    uint64_t at;         /* stream offset behind what was handed out */
    uint64_t crc;        /* of those bytes */
    struct kt_region carry;
    size_t carry_at, carry_nbytes;
};

enum kt_feed_stop {
    KT_FEED_FULL, /* there may be more */
    KT_FEED_MARK, /* a terminator, which is used up */
    KT_FEED_END,  /* the stream is at its end */
};

/* Takes over in. Pipes and devices get a CRC: there is nothing else to know them again by. */
void kt_feed_open(struct kt_feed *feed, struct kt_input *in);
void kt_feed_close(struct kt_feed *feed);

/* Whole documents, about want bytes, at least one unless the stop says why not. Checked are each one's length
 * (5 bytes to KT_DOC_READ_MAX_NBYTES) and final NUL. who names the namespace in messages, "" for none.
 * KT_E_FORMAT (with the stream offset), and what kt_input_read gives. */
KT_MUST_USE enum kt_status kt_feed_docs(struct kt_feed *feed, size_t want, struct kt_region *into,
                                        size_t *nbytes, enum kt_feed_stop *stop, const char *who,
                                        struct kt_error *err);

/* Any bytes: want of them, fewer only at the end. */
KT_MUST_USE enum kt_status kt_feed_bytes(struct kt_feed *feed, size_t want, struct kt_region *into,
                                         size_t *nbytes, enum kt_feed_stop *stop, struct kt_error *err);

/* The next bytes without using them up; fewer than nbytes only at the end. */
KT_MUST_USE enum kt_status kt_feed_peek(struct kt_feed *feed, size_t nbytes, struct kt_span *head,
                                        struct kt_error *err);

/* Goes forward to stream offset `at`. KT_E_OTHER_JOB when the stream is shorter. */
KT_MUST_USE enum kt_status kt_feed_skip(struct kt_feed *feed, uint64_t at, struct kt_error *err);

#endif
