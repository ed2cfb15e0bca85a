/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "common/span.h"

Test(span, equality_is_of_length_and_bytes)
{
    cr_expect(kt_span_equal(kt_span_str("key"), kt_span_of("keyhole", 3)));
    cr_expect_not(kt_span_equal(kt_span_str("key"), kt_span_str("keyhole")));
    cr_expect_not(kt_span_equal(kt_span_str("key"), kt_span_str("kez")));
    cr_expect_not(kt_span_equal(kt_span_of("a\0b", 3), kt_span_of("a\0c", 3)));
}

Test(span, empty_spans_are_equal_wherever_they_point)
{
    cr_expect(kt_span_equal(kt_span_of(NULL, 0), kt_span_of("x", 0)));
    cr_expect_not(kt_span_equal(kt_span_of(NULL, 0), kt_span_str("x")));
}

Test(span, little_endian_at_any_alignment)
{
    uint8_t bytes[16];
    for (size_t at = 0; at < 8; at++) {
        kt_store_le32(bytes + at, 0x89abcdefu);
        cr_expect_eq(bytes[at], 0xef);
        cr_expect_eq(bytes[at + 3], 0x89);
        cr_expect_eq(kt_load_le32(bytes + at), 0x89abcdefu);
        kt_store_le64(bytes + at, 0xfedcba9876543210u);
        cr_expect_eq(bytes[at], 0x10);
        cr_expect_eq(bytes[at + 7], 0xfe);
        cr_expect_eq(kt_load_le64(bytes + at), 0xfedcba9876543210u);
    }
}

Test(buf, appends_keep_what_was_there)
{
    struct kt_buf buf = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t piece[3] = {(uint8_t)i, (uint8_t)(i >> 8), 0xaa};
        cr_assert_eq(kt_buf_append(&buf, piece, sizeof piece), KT_OK);
    }
    cr_assert_eq(buf.nbytes, 30000);
    for (unsigned i = 0; i < 10000; i++)
        cr_assert(buf.data[3 * i] == (uint8_t)i && buf.data[3 * i + 1] == (uint8_t)(i >> 8) &&
                  buf.data[3 * i + 2] == 0xaa);
    kt_buf_free(&buf);
    cr_expect(!buf.data && !buf.nbytes && !buf.capacity);
}

Test(buf, appending_nothing_is_legal)
{
    struct kt_buf buf = {0};
    cr_expect_eq(kt_buf_append(&buf, NULL, 0), KT_OK);
    cr_expect_eq(buf.nbytes, 0);
    kt_buf_free(&buf);
}

Test(buf, a_length_that_cannot_be_is_refused_and_changes_nothing)
{
    struct kt_buf buf = {0};
    cr_assert_eq(kt_buf_append(&buf, "abc", 3), KT_OK);
    struct kt_buf before = buf;
    cr_expect_eq(kt_buf_reserve(&buf, SIZE_MAX), KT_E_NOMEM);
    cr_expect_eq(kt_buf_reserve(&buf, SIZE_MAX - 2), KT_E_NOMEM);
    cr_expect(buf.data == before.data && buf.nbytes == 3 && buf.capacity == before.capacity);
    kt_buf_free(&buf);
}
