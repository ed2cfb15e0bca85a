/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <openssl/rand.h>

#include "kms/secbuf.h"

static struct kt_secmem *pool;

static void setup(void)
{
    struct kt_error err;
    cr_assert_eq(kt_secmem_open(&pool, &err), KT_OK);
}

static void teardown(void)
{
    kt_secmem_close(pool);
}

TestSuite(secbuf, .init = setup, .fini = teardown);

static void expect(const struct kt_secbuf *buf, const char *text)
{
    cr_expect(kt_span_equal(kt_secbuf_get(buf), kt_span_str(text)), "%.*s", (int)buf->nbytes, buf->data);
}

/* RFC 4648 section 10 */
Test(secbuf, base64_vectors)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct kt_secbuf buf;
        uint8_t out[16];
        size_t n;
        kt_secbuf_init(&buf, pool);
        kt_secbuf_base64(&buf, kt_span_str(pairs[i][0]));
        expect(&buf, pairs[i][1]);
        cr_assert(kt_base64_decode(kt_span_str(pairs[i][1]), out, sizeof out, &n));
        cr_expect(kt_span_equal(kt_span_of(out, n), kt_span_str(pairs[i][0])));
        kt_secbuf_free(&buf);
    }
}

Test(secbuf, base64_round_trips_at_every_length_in_both_alphabets)
{
    uint8_t in[300], out[300];
    size_t n;
    RAND_bytes(in, sizeof in);
    for (size_t length = 0; length <= sizeof in; length++) {
        struct kt_secbuf a, b;
        kt_secbuf_init(&a, pool);
        kt_secbuf_init(&b, pool);
        kt_secbuf_base64(&a, kt_span_of(in, length));
        kt_secbuf_base64url(&b, kt_span_of(in, length));
        cr_assert(kt_base64_decode(kt_secbuf_get(&a), out, length, &n) && n == length &&
                  memcmp(in, out, n) == 0);
        cr_assert(kt_base64_decode(kt_secbuf_get(&b), out, length, &n) && n == length &&
                  memcmp(in, out, n) == 0);
        cr_expect(!b.nbytes || !memchr(b.data, '=', b.nbytes));
        kt_secbuf_free(&a);
        kt_secbuf_free(&b);
    }
}

Test(secbuf, base64_refuses_what_is_none)
{
    static const char *const bad[] = {"A",        "AAAAA", "A===", "====",     "AA=A",
                                      "A AA",     "AAA\n", " AAA", "AA==AAAA", "\xff\xff\xff\xff",
                                      "AAAA====", "AA.A"};
    uint8_t out[16];
    size_t n;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(kt_base64_decode(kt_span_str(bad[i]), out, sizeof out, &n), "%s", bad[i]);
    cr_expect_not(kt_base64_decode(kt_span_str("AAAA"), out, 2, &n));
}

Test(secbuf, base64_that_is_refused_leaves_the_room_as_it_was)
{
    static const char *const bad[] = {"AAAAAAA!", "AAAAAAAAAAAAAAAA", "AAAAA"};
    uint8_t out[8];
    size_t n;
    memset(out, 0xee, sizeof out);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(kt_base64_decode(kt_span_str(bad[i]), out, sizeof out, &n));
    for (size_t i = 0; i < sizeof out; i++)
        cr_expect_eq(out[i], 0xee);
    cr_expect(kt_base64_measure(kt_span_str(bad[1]), &n) && n == 12);
    cr_assert(kt_base64_decode(kt_span_str("AAB_"), out, 3, &n) && n == 3);
    cr_expect_eq(out[3], 0xee);
    cr_assert(kt_base64_decode(kt_span_str("Zh=="), out, 1, &n), "stray bits are ignored");
    cr_expect_eq(out[0], 'f');
}

Test(secbuf, form_and_json_escape)
{
    struct kt_secbuf buf;
    kt_secbuf_init(&buf, pool);
    kt_secbuf_form(&buf, "a-Z.0_~ +/&=%\xc3\xa9");
    expect(&buf, "a-Z.0_~%20%2B%2F%26%3D%25%C3%A9");
    kt_secbuf_reset(&buf);
    kt_secbuf_json(&buf, "a\"b\\c\n\x01");
    expect(&buf, "\"a\\\"b\\\\c\\u000a\\u0001\"");
    kt_secbuf_free(&buf);
}

Test(secbuf, says_when_locked_memory_runs_out_and_stays_failed)
{
    struct kt_secbuf buf;
    kt_secbuf_init(&buf, pool);
    kt_secbuf_text(&buf, "x");
    cr_expect_not(kt_secbuf_reserve(&buf, 2 * KT_SECMEM_MAX));
    cr_expect(buf.failed);
    kt_secbuf_text(&buf, "y");
    cr_expect_eq(kt_secbuf_get(&buf).data, NULL);
    kt_secbuf_reset(&buf);
    kt_secbuf_text(&buf, "z");
    expect(&buf, "z");
    kt_secbuf_free(&buf);
}

Test(secbuf, wipes_what_it_leaves)
{
    struct kt_secbuf buf;
    kt_secbuf_init(&buf, pool);
    kt_secbuf_text(&buf, "secret");
    const uint8_t *memory = buf.data;
    kt_secbuf_reset(&buf);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(memory[i], 0);
    kt_secbuf_free(&buf);
}
