/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/quiet.h"

#include <string.h>

#include "common/region.h"

#define HEADER_NBYTES 64u /* the region itself lies in front of what it holds */

static void *take(void *opaque, size_t nbytes)
{
    (void)opaque;
    struct kt_region region = {0};
    if (nbytes > SIZE_MAX / 2 || kt_region_reserve(&region, nbytes + HEADER_NBYTES) != KT_OK)
        return NULL;
    memcpy(region.data, &region, sizeof region);
    return region.data + HEADER_NBYTES;
}

static void give(void *opaque, void *p)
{
    (void)opaque;
    if (!p)
        return;
    struct kt_region region;
    memcpy(&region, (uint8_t *)p - HEADER_NBYTES, sizeof region);
    kt_region_free(&region);
}

static voidpf take_array(voidpf opaque, uInt n, uInt size)
{
    return take(opaque, (size_t)n * size);
}

void kt_quiet_zlib(z_stream *z)
{
    z->zalloc = take_array;
    z->zfree = give;
}

const ZSTD_customMem kt_quiet_zstd = {take, give, NULL};
