/* SPDX-License-Identifier: Apache-2.0 */
/* What credentials are made of: profile files, signed tokens, private keys, TLS options. */
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "fixture.h"
#include "kms/aws_profile.h"
#include "kms/jwt.h"
#include "kms/tls.h"

static struct kt_secmem *secmem;

static void start(void)
{
    struct kt_error err;
    cr_assert_eq(kt_secmem_open(&secmem, &err), KT_OK, "%s", err.message);
}

static void stop(void)
{
    cr_expect_eq(kt_secmem_available(secmem), kt_secmem_size(secmem));
    kt_secmem_close(secmem);
}

TestSuite(credential_parts, .init = start, .fini = stop);

static void ini(const char *section, const char *key, const char *want)
{
    static const char text[] = "; c\nloose = 1\n[default]\r\na=1\r\na = 2 # no\n  a = nested\n[profile  x]\n"
                               "[profile x]\na = b=c;d\nempty =\n[profile y";
    struct kt_span value;
    bool found = kt_ini_get(kt_span_str(text), section, key, &value);
    cr_expect_eq(found, want != NULL, "%s %s", section, key);
    if (found && want)
        cr_expect(kt_span_equal(value, kt_span_str(want)), "%.*s", (int)value.nbytes, value.data);
}

Test(credential_parts, profile_files)
{
    ini("default", "a", "2");
    ini("profile x", "a", "b=c;d");
    ini("profile x", "empty", NULL);
    ini("x", "a", NULL);
    ini("default", "loose", NULL);
    ini("profile y", "a", NULL);
    struct kt_span text = kt_span_str("# [c]\n[ a ]\nx = [b]\n[profile y");
    cr_expect(kt_ini_has(text, "a"));
    cr_expect_not(kt_ini_has(text, "b"));
    cr_expect_not(kt_ini_has(text, "c"));
    cr_expect_not(kt_ini_has(text, "profile y"));
    cr_expect_not(kt_ini_has(kt_span_of(NULL, 0), "a"));
}

Test(credential_parts, a_jwt_verifies)
{
    EVP_PKEY *key = EVP_RSA_gen(3072);
    struct kt_secbuf out;
    struct kt_jwt_claims claims = {"me@x", "https://t/token", "scope", NULL, 1700000000, 300};
    kt_secbuf_init(&out, secmem);
    cr_assert(kt_jwt_sign(&out, &claims, key));
    uint8_t *last = memrchr(out.data, '.', out.nbytes);
    uint8_t signature[600], text[400];
    size_t n, text_nbytes;
    cr_assert(kt_base64_decode(kt_span_of(last + 1, (size_t)(out.data + out.nbytes - last - 1)), signature,
                               sizeof signature, &n));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    cr_assert_eq(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    cr_expect_eq(EVP_DigestVerify(ctx, signature, n, out.data, (size_t)(last - out.data)), 1);
    EVP_MD_CTX_free(ctx);
    uint8_t *first = memchr(out.data, '.', out.nbytes);
    cr_assert(
        kt_base64_decode(kt_span_of(first + 1, (size_t)(last - first - 1)), text, sizeof text, &text_nbytes));
    cr_expect(kt_span_equal(
        kt_span_of(text, text_nbytes),
        kt_span_str("{\"iss\":\"me@x\",\"aud\":\"https://t/token\",\"scope\":\"scope\",\"iat\":1700000000,"
                    "\"exp\":1700000300}")));
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    kt_secbuf_reset(&out);
    cr_expect_not(kt_jwt_sign(&out, &claims, ec), "RS256 needs RSA");
    kt_secbuf_free(&out);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(key);
}

Test(credential_parts, private_keys_that_are_none)
{
    static const char *const bad[] = {
        "",           "AAAA",  "0", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN", "MIIE!!"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(kt_jwt_key(kt_span_str(bad[i]), secmem), NULL, "%s", bad[i]);
}

Test(credential_parts, tls_options)
{
    static const char *const bad[] = {"{\"tlsInsecure\":true}", "{\"tlsAllowInvalidCertificates\":false}",
                                      "{\"x\":1}", "{\"tlsCAFile\":5}"};
    struct kt_error err;
    struct kt_tls tls;
    for (size_t i = 0; i < 4; i++) {
        bson_t *doc = kt_json_parse(kt_span_str(bad[i]));
        cr_expect_eq(kt_tls_init(&tls, "aws", kt_span_of(bson_get_data(doc), doc->len), secmem, &err),
                     KT_E_CONFIG);
        cr_expect(strstr(err.message, "aws"));
        bson_destroy(doc);
    }
    bson_t *doc = kt_json_parse(
        kt_span_str("{\"tlsCAFile\":\"/"
                    "ca\",\"tlsCertificateKeyFilePassword\":\"pw\",\"tlsDisableOCSPEndpointCheck\":true}"));
    cr_assert_eq(kt_tls_init(&tls, "aws", kt_span_of(bson_get_data(doc), doc->len), secmem, &err), KT_OK);
    bson_destroy(doc);
    cr_expect_str_eq(tls.ca_file, "/ca");
    cr_expect_str_eq(tls.password, "pw");
    cr_expect_eq(tls.certificate_file, NULL);
    kt_tls_free(&tls);
}
