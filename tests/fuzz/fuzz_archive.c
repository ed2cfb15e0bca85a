/* SPDX-License-Identifier: Apache-2.0 */
/* The magic of an archive, then anything. */
#include "tests/fuzz/fuzz_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    uint8_t *archive = malloc(nbytes + 4);
    kt_must(archive != NULL);
    kt_store_le32(archive, 0x8199e26d);
    if (nbytes > 0)
        memcpy(archive + 4, data, nbytes);
    kt_fuzz_source(archive, nbytes + 4);
    free(archive);
    return 0;
}
