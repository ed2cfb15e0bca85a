/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#define CMK                                                                                                  \
    "{\"provider\":\"aws\",\"region\":\"us-east-1\",\"key\":\"arn:aws:kms:us-east-1:111122223333:key/1\"}"

static struct kms_fixture f;

static void start(void)
{
    kms_fixture_open(&f, KT_KMS_AWS, KT_KMS_UNWRAP, CMK);
    memset(f.out, 0xee, sizeof f.out);
}

static void stop(void)
{
    kms_fixture_close(&f);
}

TestSuite(exchange, .init = start, .fini = stop);

static enum kt_verdict handed(const char *base64)
{
    f.call.out_nbytes = 0;
    f.call.reason = KT_KMS_R_NONE;
    return kt_verdict_result(&f.call, kt_span_str(base64));
}

static void expect_untouched(size_t from, const char *what)
{
    for (size_t i = from; i < sizeof f.out; i++)
        cr_assert_eq(f.out[i], 0xee, "%s: byte %zu", what, i);
    if (from == 0)
        cr_expect_eq(f.call.out_nbytes, 0, "%s", what);
}

/* A plaintext of that many bytes, as a service hands it over. */
static enum kt_verdict handed_bytes(size_t nbytes, bool url)
{
    struct kt_secbuf text;
    kt_secbuf_init(&text, f.secmem);
    if (url)
        kt_secbuf_base64url(&text, kt_span_of(f.in, nbytes));
    else
        kt_secbuf_base64(&text, kt_span_of(f.in, nbytes));
    kt_secbuf_put(&text, "", 1);
    enum kt_verdict verdict = handed((const char *)text.data);
    kt_secbuf_free(&text);
    return verdict;
}

Test(exchange, a_dek_is_written_and_nothing_beside_it)
{
    f.call.out_capacity = 96;
    for (int url = 0; url < 2; url++) {
        memset(f.out, 0xee, sizeof f.out);
        cr_assert_eq(handed_bytes(96, url), KT_V_DONE);
        cr_expect_eq(f.call.out_nbytes, 96);
        cr_expect_arr_eq(f.out, f.in, 96);
        expect_untouched(96, "behind it");
    }
}

Test(exchange, another_length_is_no_dek_and_is_not_written)
{
    static const size_t lengths[] = {0, 1, 2, 3, 32, 94, 95, 97, 98, 99, 512, 513, 600, 6000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char says[60];
        snprintf(says, sizeof says, "the unwrapped key has %zu bytes instead of 96", lengths[i]);
        cr_expect_eq(handed_bytes(lengths[i], i % 2), KT_V_FINAL, "%s", says);
        cr_expect_eq(f.call.reason, KT_KMS_R_CIPHERTEXT, "%s", says);
        cr_expect(strstr(f.call.error.message, says), "%s: %s", says, f.call.error.message);
        expect_untouched(0, says);
    }
}

Test(exchange, a_dek_does_not_overrun_its_room)
{
    f.call.out_capacity = 95;
    cr_expect_eq(handed_bytes(96, false), KT_V_FINAL);
    expect_untouched(0, "too small");
}

Test(exchange, what_is_no_base64_is_asked_for_again)
{
    char text[129];
    memset(text, 'A', 128);
    text[128] = 0;
    cr_assert_eq(handed(text), KT_V_DONE);
    memset(f.out, 0xee, sizeof f.out);
    for (size_t i = 0; i < 128; i += 127) {
        text[i] = '!';
        cr_expect_eq(handed(text), KT_V_FAULT);
        cr_expect_eq(f.call.reason, KT_KMS_R_REPLY);
        cr_expect(strstr(f.call.error.message, "is no base64"), "%s", f.call.error.message);
        expect_untouched(0, text);
        text[i] = 'A';
    }
}

Test(exchange, a_wrap_has_a_length_too)
{
    f.call.op = KT_KMS_WRAP;
    f.call.out_capacity = 200;
    cr_expect_eq(handed_bytes(95, false), KT_V_FAULT);
    cr_expect_eq(handed_bytes(201, false), KT_V_FAULT);
    cr_expect_eq(handed("!!!!"), KT_V_FAULT);
    cr_assert_eq(handed_bytes(200, false), KT_V_DONE);
    cr_expect_arr_eq(f.out, f.in, 200);
    expect_untouched(200, "behind it");
}
