/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "kms/ttlv.h"
#include "tests/support/shared.h"

static struct kt_secmem *pool;
static struct kt_secbuf buf;

static void setup(void)
{
    struct kt_error err;
    cr_assert_eq(kt_secmem_open(&pool, &err), KT_OK);
    kt_secbuf_init(&buf, pool);
}

static void teardown(void)
{
    kt_secbuf_free(&buf);
    kt_secmem_close(pool);
}

TestSuite(ttlv, .init = setup, .fini = teardown);

static void expect_hex(const char *hex)
{
    uint8_t want[200];
    size_t n = kt_unhex(hex, want, sizeof want);
    cr_assert_neq(n, SIZE_MAX);
    cr_expect(kt_span_equal(kt_secbuf_get(&buf), kt_span_of(want, n)), "%s", hex);
    kt_secbuf_reset(&buf);
}

/* OASIS KMIP 1.2 section 9.1.2, the examples of that section */
Test(ttlv, examples_of_the_standard)
{
    kt_ttlv_int(&buf, 0x420020, 8);
    expect_hex("42002002000000040000000800000000");
    kt_ttlv_enum(&buf, 0x420020, 255);
    expect_hex("4200200500000004000000FF00000000");
    kt_ttlv_bool(&buf, 0x420020, true);
    expect_hex("42002006000000080000000000000001");
    kt_ttlv_text(&buf, 0x420020, "Hello World");
    expect_hex("420020070000000B48656C6C6F20576F726C640000000000");
    kt_ttlv_bytes(&buf, 0x420020, kt_span_of((const uint8_t[]){1, 2, 3}, 3));
    expect_hex("42002008000000030102030000000000");
    size_t opened = kt_ttlv_open(&buf, 0x420020);
    kt_ttlv_enum(&buf, 0x420004, 254);
    kt_ttlv_int(&buf, 0x420005, 255);
    kt_ttlv_close(&buf, opened);
    expect_hex("42002001000000204200040500000004000000FE000000004200050200000004000000FF00000000");
}

Test(ttlv, finds_along_a_path)
{
    size_t outer = kt_ttlv_open(&buf, 1), inner = kt_ttlv_open(&buf, 2);
    kt_ttlv_int(&buf, 3, -7);
    kt_ttlv_close(&buf, inner);
    kt_ttlv_close(&buf, outer);
    struct kt_ttlv found;
    uint32_t value;
    cr_assert(kt_ttlv_find(kt_secbuf_get(&buf), (const uint32_t[]){1, 2, 3}, 3, &found));
    cr_expect(kt_ttlv_u32(&found, &value) && value == (uint32_t)-7);
    cr_expect_not(kt_ttlv_find(kt_secbuf_get(&buf), (const uint32_t[]){1, 3}, 2, &found));
    cr_expect_not(kt_ttlv_find(kt_secbuf_get(&buf), (const uint32_t[]){1, 2, 3, 4}, 4, &found),
                  "an integer has no members");
    cr_expect_not(kt_ttlv_find(kt_secbuf_get(&buf), NULL, 0, &found));
}

Test(ttlv, every_truncation_is_refused)
{
    kt_ttlv_text(&buf, 0x420020, "Hello World");
    for (size_t n = 0; n < buf.nbytes; n++) {
        struct kt_span in = kt_span_of(buf.data, n);
        struct kt_ttlv element;
        cr_expect_not(kt_ttlv_next(&in, &element), "%zu", n);
        cr_expect_eq(in.nbytes, n);
    }
}

Test(ttlv, lengths_that_overflow_are_refused)
{
    uint8_t bytes[16] = {0x42, 0, 0x20, 7, 0xff, 0xff, 0xff, 0xff};
    struct kt_span in = kt_span_of(bytes, sizeof bytes);
    struct kt_ttlv element;
    cr_expect_not(kt_ttlv_next(&in, &element));
    bytes[4] = bytes[5] = bytes[6] = 0;
    bytes[7] = 9;
    cr_expect_not(kt_ttlv_next(&in, &element), "the value ends beyond the bytes");
}

Test(ttlv, message_length)
{
    cr_expect_eq(kt_ttlv_message_nbytes((const uint8_t[]){0x42, 0, 0x7b, 1, 0, 0, 1, 0}), 264);
    cr_expect_eq(kt_ttlv_message_nbytes((const uint8_t[]){0x43, 0, 0x7b, 1, 0, 0, 1, 0}), 0);
    cr_expect_eq(kt_ttlv_message_nbytes((const uint8_t[]){0x42, 0, 0x7b, 8, 0, 0, 1, 0}), 0);
    cr_expect_eq(kt_ttlv_message_nbytes((const uint8_t[]){0x42, 0, 0x7b, 1, 0, 0, 1, 1}), 0);
    cr_expect_eq(kt_ttlv_message_nbytes((const uint8_t *)"HTTP/1.1"), 0);
}
