/* SPDX-License-Identifier: Apache-2.0 */
/* One file, pipe or device, read front to back, unpacked when it holds gzip or zstd. */
#ifndef KT_IO_FILE_INPUT_H
#define KT_IO_FILE_INPUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "io/store.h"

struct kt_input;

/* Takes over fd, also on failure. label names it in messages and is copied. decode false: the bytes as they
 * lie, whatever they are. lent is memory to read into, whose owner keeps it for as long as the input lives
 * and may lend it again; NULL: the input has its own. KT_OK, KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_input_open(struct kt_input **in, int fd, const char *label, bool decode,
                                         struct kt_region *lent, struct kt_error *err);
void kt_input_close(struct kt_input *in);

/* Adds to *done from now on what is read of the file, and what has been read already; *stop, once true, ends
 * reading with KT_E_STOPPED, also while a silent pipe is waited for. Any thread may read the one and set the
 * other. */
void kt_input_share(struct kt_input *in, _Atomic uint64_t *done, const atomic_bool *stop);

enum kt_codec kt_input_codec(const struct kt_input *in);
const char *kt_input_label(const struct kt_input *in);

/* As it was at opening. A regular file is checked against it when its end is reached. */
const struct stat *kt_input_stat(const struct kt_input *in);

/* Reads until `to` is full or the input is at its end (then *got < nbytes).
 * KT_E_FORMAT: broken, truncated or followed by something else (gzip members and zstd frames may follow one
 * another). KT_E_IO: reading failed, or the file changed since it was opened. KT_E_NOMEM: also a zstd frame
 * whose window needs more than 128 MiB. */
KT_MUST_USE enum kt_status kt_input_read(struct kt_input *in, void *to, size_t nbytes, size_t *got,
                                         struct kt_error *err);

/* Goes to `at` of an uncompressed regular file without reading what lies before; false for all others. */
bool kt_input_jump(struct kt_input *in, uint64_t at);

#endif
