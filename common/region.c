/* SPDX-License-Identifier: Apache-2.0 */
#include "common/region.h"

#include <sys/mman.h>

#include "common/secmem.h"

#define GRAIN ((size_t)64 << 10)

static size_t round_up(size_t nbytes)
{
    return (nbytes + GRAIN - 1) & ~(GRAIN - 1);
}

enum kt_status kt_region_reserve(struct kt_region *region, size_t nbytes)
{
    if (nbytes <= region->capacity)
        return KT_OK;
    if (nbytes > SIZE_MAX / 2)
        return KT_E_NOMEM;
    size_t capacity = round_up(nbytes);
    void *p;
    if (region->data)
        p = mremap(region->data, region->capacity, capacity, MREMAP_MAYMOVE);
    else
        p = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return KT_E_NOMEM;
    region->data = p;
    region->capacity = capacity;
    madvise(p, capacity, MADV_DONTDUMP);
    return KT_OK;
}

void kt_region_trim(struct kt_region *region, size_t nbytes)
{
    size_t keep = round_up(nbytes);
    if (keep == 0)
        keep = GRAIN;
    if (region->capacity <= keep)
        return;
    kt_wipe(region->data + keep, region->capacity - keep);
    munmap(region->data + keep, region->capacity - keep);
    region->capacity = keep;
}

void kt_region_free(struct kt_region *region)
{
    if (region->data) {
        kt_wipe(region->data, region->capacity);
        munmap(region->data, region->capacity);
    }
    *region = (struct kt_region){0};
}
