/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "common/region.h"
#include "tests/common/vmflags.h"

Test(region, growing_keeps_the_content)
{
    struct kt_region region = {0};
    cr_assert_eq(kt_region_reserve(&region, 100), KT_OK);
    cr_assert_geq(region.capacity, 100);
    for (size_t i = 0; i < 100; i++)
        region.data[i] = (uint8_t)i;
    cr_assert_eq(kt_region_reserve(&region, (size_t)32 << 20), KT_OK);
    cr_assert_geq(region.capacity, (size_t)32 << 20);
    for (size_t i = 0; i < 100; i++)
        cr_assert_eq(region.data[i], (uint8_t)i);
    region.data[region.capacity - 1] = 1;
    kt_region_free(&region);
    cr_expect(!region.data && !region.capacity);
}

Test(region, smaller_wishes_change_nothing)
{
    struct kt_region region = {0};
    cr_assert_eq(kt_region_reserve(&region, 1 << 20), KT_OK);
    struct kt_region before = region;
    cr_assert_eq(kt_region_reserve(&region, 0), KT_OK);
    cr_assert_eq(kt_region_reserve(&region, 1 << 20), KT_OK);
    cr_expect(region.data == before.data && region.capacity == before.capacity);
    kt_region_free(&region);
}

Test(region, a_size_that_cannot_be_is_refused_and_changes_nothing)
{
    struct kt_region region = {0};
    cr_expect_eq(kt_region_reserve(&region, SIZE_MAX), KT_E_NOMEM);
    cr_assert_eq(kt_region_reserve(&region, 10), KT_OK);
    memset(region.data, 7, 10);
    struct kt_region before = region;
    cr_expect_eq(kt_region_reserve(&region, SIZE_MAX), KT_E_NOMEM);
    cr_expect_eq(kt_region_reserve(&region, SIZE_MAX / 2), KT_E_NOMEM);
    cr_expect(region.data == before.data && region.capacity == before.capacity && region.data[9] == 7);
    kt_region_free(&region);
}

Test(region, trimming_gives_memory_back_and_keeps_the_front)
{
    struct kt_region region = {0};
    cr_assert_eq(kt_region_reserve(&region, (size_t)8 << 20), KT_OK);
    memset(region.data, 9, region.capacity);
    kt_region_trim(&region, 1 << 20);
    cr_expect_eq(region.capacity, (size_t)1 << 20);
    cr_expect(region.data[0] == 9 && region.data[region.capacity - 1] == 9);
    unsigned char resident;
    cr_expect_neq(mincore(region.data + region.capacity, 4096, &resident), 0, "the rest is unmapped");
    kt_region_trim(&region, (size_t)4 << 20);
    cr_expect_eq(region.capacity, (size_t)1 << 20, "trimming never grows");
    kt_region_trim(&region, 0);
    cr_expect_gt(region.capacity, 0);
    kt_region_free(&region);
}

Test(region, empty_regions_may_be_trimmed_and_freed)
{
    struct kt_region region = {0};
    kt_region_trim(&region, 100);
    kt_region_free(&region);
    kt_region_free(&region);
    cr_expect_null(region.data);
}

Test(region, documents_are_left_out_of_core_dumps_also_after_growing)
{
    struct kt_region region = {0};
    cr_assert_eq(kt_region_reserve(&region, 1 << 20), KT_OK);
    cr_expect(vm_has_flag(region.data, "dd"));
    cr_assert_eq(kt_region_reserve(&region, (size_t)64 << 20), KT_OK);
    cr_expect(vm_has_flag(region.data, "dd"));
    cr_expect(vm_has_flag(region.data + region.capacity - 1, "dd"));
    kt_region_free(&region);
}
