/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for zlib and zstd, which hold pieces of documents in it: left out of core dumps, wiped on release.
 * From the kernel, so for few and large blocks. */
#ifndef KT_IO_FILE_QUIET_H
#define KT_IO_FILE_QUIET_H

#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_customMem; shared libraries export it too */
#include <zstd.h>

/* To be set before deflateInit2 or inflateInit2. */
void kt_quiet_zlib(z_stream *z);

extern const ZSTD_customMem kt_quiet_zstd;

#endif
