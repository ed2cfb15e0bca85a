/* SPDX-License-Identifier: Apache-2.0 */
/* Packing to gzip members (RFC 1952) and zstd frames (RFC 8878). */
#ifndef KT_IO_FILE_ENCODE_H
#define KT_IO_FILE_ENCODE_H

#include "io/store.h"

struct kt_encoder;

/* NULL when memory ran out. codec is not KT_CODEC_NONE. */
struct kt_encoder *kt_encoder_new(enum kt_codec codec);
void kt_encoder_free(struct kt_encoder *encoder);

/* Takes from the front of *bytes and gives at most nbytes (more than 0); begins a member or frame when none
 * is open. With `end` and all of *bytes taken it closes that. *more: call again, with room. KT_E_NOMEM,
 * KT_E_INTERNAL. */
KT_MUST_USE enum kt_status kt_encoder_step(struct kt_encoder *encoder, struct kt_span *bytes, bool end,
                                           void *to, size_t nbytes, size_t *made, bool *more,
                                           const char *label, struct kt_error *err);

/* True while a member or frame has begun and not ended. */
bool kt_encoder_inside(const struct kt_encoder *encoder);

#endif
