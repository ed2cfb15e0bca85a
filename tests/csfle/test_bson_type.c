/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "csfle/bson_type.h"
#include "csfle/bson_utf8.h"
#include "tests/csfle/csfle_support.h"

Test(bson_type, names_and_bits)
{
    uint32_t all = 0;
    int known = 0;
    for (unsigned type = 0; type < 256; type++) {
        const char *name = kt_bson_type_name((uint8_t)type);
        uint32_t bit = kt_bson_type_bit((uint8_t)type);
        cr_expect_eq(name != NULL, bit != 0);
        if (!name)
            continue;
        known++;
        cr_expect_eq(all & bit, 0);
        all |= bit;
        cr_expect_eq(kt_bson_type_of_name(kt_span_str(name)), type);
    }
    cr_expect_eq(known, 21);
    cr_expect_eq(kt_bson_type_of_name(kt_span_str("number")), 0);
    cr_expect_eq(kt_bson_type_of_name(kt_span_str("")), 0);
    cr_expect_eq(kt_bson_type_of_name(kt_span_str("Int")), 0);
}

Test(bson_type, what_may_be_encrypted)
{
    static const uint8_t never[] = {
        KT_BSON_MIN_KEY, KT_BSON_MAX_KEY, KT_BSON_NULL, KT_BSON_UNDEFINED, 0, 0x14, 0x80};
    static const uint8_t random_only[] = {KT_BSON_DOUBLE,   KT_BSON_DECIMAL128, KT_BSON_BOOL,
                                          KT_BSON_DOCUMENT, KT_BSON_ARRAY,      KT_BSON_CODE_W_SCOPE};
    int random = 0, deterministic = 0;
    for (unsigned type = 0; type < 256; type++) {
        random += kt_bson_type_random_ok((uint8_t)type);
        deterministic += kt_bson_type_deterministic_ok((uint8_t)type);
    }
    cr_expect_eq(random, 21 - 4);
    cr_expect_eq(deterministic, 21 - 4 - 6);
    for (size_t i = 0; i < sizeof never; i++)
        cr_expect(!kt_bson_type_random_ok(never[i]) && !kt_bson_type_deterministic_ok(never[i]));
    for (size_t i = 0; i < sizeof random_only; i++)
        cr_expect(kt_bson_type_random_ok(random_only[i]) && !kt_bson_type_deterministic_ok(random_only[i]));
}

/* libbson is the judge, over all short byte strings that can matter and over long random ones. */
static void same_as_libbson(const uint8_t *text, size_t nbytes)
{
    cr_assert_eq(kt_utf8_ok(text, nbytes), bson_utf8_validate((const char *)text, nbytes, true),
                 "%02x %02x %02x %02x, %zu bytes", text[0], text[1], text[2], text[3], nbytes);
}

Test(bson_type, utf8_as_libbson_takes_it)
{
    static const uint8_t telling[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                      0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                      0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    enum { N = sizeof telling };
    uint8_t text[4];
    for (unsigned i = 0; i < N * N * N * N; i++) {
        for (unsigned j = 0, k = i; j < 4; j++, k /= N)
            text[j] = telling[k % N];
        for (size_t n = 1; n <= 4; n++)
            same_as_libbson(text, n);
    }
    uint64_t seed = 0x5eed0007;
    for (int round = 0; round < 20000; round++) {
        uint8_t longer[64];
        memset(longer, 'a', sizeof longer);
        for (int i = 0; i < 3; i++) {
            size_t at = kt_random(&seed) % 60;
            memcpy(longer + at, kt_random(&seed) % 2 ? "\xe2\x82\xac" : "\xf0\x9f\x94\x91",
                   3 + kt_random(&seed) % 2);
        }
        same_as_libbson(longer, kt_random(&seed) % 65);
    }
}
