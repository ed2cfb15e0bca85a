/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream is, by its first bytes. Names say nothing: a file called .bson may hold gzip. */
#ifndef KT_IO_FILE_MAGIC_H
#define KT_IO_FILE_MAGIC_H

#include <stdbool.h>

#include "io/store.h"

#define KT_MAGIC_PEEK_NBYTES 4096u /* enough for the one ambiguous case, see magic.c */

/* head: the first bytes, KT_MAGIC_PEEK_NBYTES or all there are. Neither gzip nor zstd: KT_CODEC_NONE. */
enum kt_codec kt_magic_codec(struct kt_span head);

/* True for the first four bytes of a mongodump archive (6d e2 99 81, no legal length of a BSON document). */
bool kt_magic_is_archive(struct kt_span head);

#endif
