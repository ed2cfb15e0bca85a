/* SPDX-License-Identifier: Apache-2.0 */
/* One file, pipe or device, written front to back, packed if wanted. */
#ifndef KT_IO_FILE_OUTPUT_H
#define KT_IO_FILE_OUTPUT_H

#include "io/store.h"

struct kt_output;

/* Takes over fd, also on failure; its offset is `at` (0 for a new file), behind whole members or frames.
 * label names it in messages and is copied. lent is memory to gather small writes in, whose owner keeps it
 * for as long as the output lives and may lend it again; NULL: the output has its own. KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_output_open(struct kt_output **out, int fd, uint64_t at, enum kt_codec codec,
                                          const char *label, struct kt_region *lent, struct kt_error *err);

/* KT_E_IO: the disk is full, the pipe closed, a limit passed or the device failed; KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_output_write(struct kt_output *out, struct kt_span bytes, struct kt_error *err);

/* Ends the gzip member or zstd frame, so that the file can be cut here, and hands everything to the kernel.
 * *at is the file's length then. */
KT_MUST_USE enum kt_status kt_output_cut(struct kt_output *out, uint64_t *at, struct kt_error *err);

/* fdatasync of what was handed to the kernel. */
KT_MUST_USE enum kt_status kt_output_sync(struct kt_output *out, struct kt_error *err);

/* Cut, a member or frame even if nothing was ever written, and close. out is gone, also on failure. */
KT_MUST_USE enum kt_status kt_output_finish(struct kt_output *out, struct kt_error *err);

/* Closes as it is. NULL is accepted. */
void kt_output_abandon(struct kt_output *out);

#endif
