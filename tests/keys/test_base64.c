/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/base64.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <string.h>

static bool decode(const char *text, uint8_t *out, size_t *nbytes)
{
    uint8_t scratch[1024];
    if (!kt_base64_nbytes(kt_span_str(text), nbytes))
        return false;
    cr_assert_leq(KT_BASE64_SCRATCH(*nbytes), sizeof scratch);
    kt_base64_read(kt_span_str(text), *nbytes, scratch, out);
    return true;
}

/* RFC 4648, section 10. */
Test(base64, the_vectors_of_the_rfc)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"Zg==", "f"},
                                             {"Zm8=", "fo"},
                                             {"Zm9v", "foo"},
                                             {"Zm9vYg==", "foob"},
                                             {"Zm9vYmE=", "fooba"},
                                             {"Zm9vYmFy", "foobar"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t out[8];
        size_t nbytes = 99;
        cr_assert(decode(vectors[i][0], out, &nbytes));
        cr_assert_eq(nbytes, strlen(vectors[i][1]));
        cr_assert_arr_eq(out, vectors[i][1], nbytes);
    }
}

Test(base64, any_length_comes_back)
{
    uint8_t bytes[300], out[300];
    char text[500];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 89 + 3);
    for (size_t n = 1; n < sizeof bytes; n++) {
        size_t nbytes = 0;
        EVP_EncodeBlock((uint8_t *)text, bytes, (int)n);
        cr_assert(decode(text, out, &nbytes));
        cr_assert_eq(nbytes, n);
        cr_assert_arr_eq(out, bytes, n);
    }
}

Test(base64, white_space_is_passed_over)
{
    uint8_t out[8];
    size_t nbytes;
    cr_assert(decode("\n Zm9v\r\n\tYm Fy \n", out, &nbytes));
    cr_assert_eq(nbytes, 6);
    cr_assert_arr_eq(out, "foobar", 6);
    cr_assert(decode("Zg = =\n", out, &nbytes));
    cr_assert_eq(nbytes, 1);
}

Test(base64, what_is_none_is_refused)
{
    static const char *const bad[] = {
        "Z",        "Zg",       "Zg=",      "Zm9v=",    "====",     "=Zm9", "Zm=v",
        "Zg==Zg==", "Zm9v!!!!", "Zm9-Ym_y", "Zm9v\x80", "Zm9v\x01", "Zg==="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t nbytes;
        cr_expect_not(kt_base64_nbytes(kt_span_str(bad[i]), &nbytes), "%s", bad[i]);
    }
    size_t nbytes;
    cr_expect_not(kt_base64_nbytes(kt_span_of("Zm\0v", 4), &nbytes));
}
