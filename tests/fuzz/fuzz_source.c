/* SPDX-License-Identifier: Apache-2.0 */
/* BSON, gzip, zstd or an archive, as the first bytes say. */
#include "tests/fuzz/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    kt_fuzz_source(data, nbytes);
    return 0;
}
