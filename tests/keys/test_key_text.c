/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/key_text.h"

#include <criterion/criterion.h>

static const char *name_text(struct kt_span name, size_t nbytes)
{
    static char out[64];
    memset(out, 'x', sizeof out);
    kt_name_text(name, out, nbytes);
    return out;
}

Test(key_text, a_uuid_is_hex_with_dashes)
{
    const uint8_t id[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                            0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    char out[KT_UUID_TEXT_NBYTES];
    kt_uuid_text(id, out);
    cr_expect_str_eq(out, "00112233-4455-6677-8899-aabbccddeeff");
}

Test(key_text, names_that_fit_stay)
{
    cr_expect_str_eq(name_text(kt_span_str("pii-2026"), 9), "pii-2026");
    cr_expect_str_eq(name_text(kt_span_str(""), 9), "");
    cr_expect_str_eq(name_text(kt_span_of(NULL, 0), 9), "");
    cr_expect_str_eq(name_text(kt_span_str("\xc3\xbc"), 9), "\xc3\xbc");
}

Test(key_text, control_characters_do_not_reach_the_terminal)
{
    cr_expect_str_eq(name_text(kt_span_of("a\x1b[2J\n\0b\x7f", 9), 30), "a?[2J??b?");
}

Test(key_text, long_names_are_cut_between_characters)
{
    cr_expect_str_eq(name_text(kt_span_str("abcdefghij"), 10), "abcdef...");
    cr_expect_str_eq(name_text(kt_span_str("abcde\xc3\xbc\xc3\xbczz"), 10), "abcde...");
    cr_expect_str_eq(name_text(kt_span_str("\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf\xbf"), 10), "...");
}
