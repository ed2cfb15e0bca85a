/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/handles.h"

#include <criterion/criterion.h>

static struct kt_handles opened(void)
{
    struct kt_handles handles = {0};
    cr_assert_eq(kt_handles_init(&handles), KT_OK);
    return handles;
}

static uint32_t add(struct kt_handles *handles, struct kt_span key, bool is_name)
{
    uint32_t handle;
    cr_assert_eq(kt_handles_find(handles, key, is_name), KT_NONE);
    cr_assert_eq(kt_handles_add(handles, key, is_name, &handle), KT_OK);
    cr_assert_eq(kt_handles_find(handles, key, is_name), handle);
    return handle;
}

Test(handles, many_ids_are_found_again_through_growth)
{
    struct kt_handles handles = opened();
    uint8_t id[16] = {0};
    for (uint32_t i = 0; i < 20000; i++) {
        kt_store_le32(id + i % 12, i);
        cr_assert_eq(add(&handles, kt_span_of(id, 16), false), i);
        memset(id, 0, 16);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        kt_store_le32(id + i % 12, i);
        cr_assert_eq(kt_handles_find(&handles, kt_span_of(id, 16), false), i);
        cr_assert_arr_eq(kt_handle_at(&handles, i)->id, id, 16);
        memset(id, 0, 16);
    }
    kt_handles_cleanup(&handles);
}

Test(handles, a_name_of_sixteen_bytes_is_no_id)
{
    struct kt_handles handles = opened();
    struct kt_span same = kt_span_str("0123456789abcdef");
    uint32_t id = add(&handles, same, false), name = add(&handles, same, true);
    cr_expect_neq(id, name);
    cr_expect_not(kt_handle_at(&handles, id)->is_name);
    cr_expect(kt_handle_at(&handles, name)->is_name);
    kt_handles_cleanup(&handles);
}

Test(handles, names_of_all_lengths_differ)
{
    struct kt_handles handles = opened();
    char text[100] = {0};
    uint32_t list[100];
    for (uint32_t n = 0; n < 100; n++) /* NULs only: nothing but the length tells them apart */
        list[n] = add(&handles, kt_span_of(text, n), true);
    for (uint32_t n = 0; n < 100; n++)
        cr_assert_eq(kt_handles_find(&handles, kt_span_of(text, n), true), list[n]);
    cr_expect_eq(kt_handles_find(&handles, kt_span_of("x", 1), true), KT_NONE);
    kt_handles_cleanup(&handles);
}

Test(handles, a_new_record_is_new)
{
    struct kt_handles handles = opened();
    struct kt_handle *name = kt_handle_at(&handles, add(&handles, kt_span_str("a"), true));
    cr_expect_eq(atomic_load(&name->state), KT_KEY_NEW);
    cr_expect_eq(name->at, KT_NONE);
    cr_expect_eq(name->by_name.key, KT_NONE);
    cr_expect_eq(name->flags, 0);
    kt_handles_cleanup(&handles);
}

Test(handles, records_stay_small)
{
    cr_expect_leq(sizeof(struct kt_handle), 24);
}
