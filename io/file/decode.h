/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking of gzip (RFC 1952, members back to back) and zstd (RFC 8878, frames back to back). Memory is
 * bounded by the format's window however much comes out. */
#ifndef KT_IO_FILE_DECODE_H
#define KT_IO_FILE_DECODE_H

#include "io/store.h"

struct kt_decoder;

/* NULL when memory ran out. codec is not KT_CODEC_NONE. */
struct kt_decoder *kt_decoder_new(enum kt_codec codec);
void kt_decoder_free(struct kt_decoder *decoder);

/* Takes from the front of *packed and gives at most nbytes. With nothing in *packed it gives what it still
 * holds back. label and at (the file's offset of packed) are for messages. KT_E_FORMAT, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_decoder_step(struct kt_decoder *decoder, struct kt_span *packed, void *to,
                                           size_t nbytes, size_t *made, const char *label, uint64_t at,
                                           struct kt_error *err);

/* True while a member or frame has begun and not ended. */
bool kt_decoder_inside(const struct kt_decoder *decoder);

#endif
