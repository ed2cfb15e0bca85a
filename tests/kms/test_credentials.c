/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "fixture.h"
#include "kms/aws_profile.h"
#include "kms/credentials.h"
#include "kms/jwt.h"
#include "kms/tls.h"

static struct kms_fixture f;
static struct kt_cred cred;
static const char *environment[20];

static char *env(const char *name)
{
    for (size_t i = 0; environment[i]; i += 2)
        if (strcmp(environment[i], name) == 0)
            return (char *)(uintptr_t)environment[i + 1];
    return NULL;
}

static void start(enum kt_kms kms, const char *document)
{
    kms_fixture_open(
        &f, kms, KT_KMS_WRAP,
        kms == KT_KMS_AWS ? "{\"provider\":\"aws\",\"region\":\"r\",\"key\":\"k\"}"
        : kms == KT_KMS_AZURE
            ? "{\"provider\":\"azure\",\"keyVaultEndpoint\":\"v.vault.azure.net\",\"keyName\":\"k\"}"
            : "{\"provider\":\"gcp\",\"projectId\":\"p\",\"location\":\"l\",\"keyRing\":\"r\",\"keyName\":"
              "\"k\"}");
    cred = (struct kt_cred){.kms = kms, .env = env, .now_ms = 1700000000000};
    snprintf(cred.audience, sizeof cred.audience, "https://vault.azure.net/.default");
    kt_secbuf_init(&cred.scratch, f.secmem);
    kt_secbuf_init(&cred.base.text, f.secmem);
    f.source = kt_json_parse(kt_span_str(document));
    cr_assert(f.source && kt_doc_view(kt_span_of(bson_get_data(f.source), f.source->len), &cred.document));
    memset(environment, 0, sizeof environment);
}

static void stop(void)
{
    kt_secbuf_free(&cred.scratch);
    kt_secbuf_free(&cred.base.text);
    kms_fixture_close(&f);
}

TestSuite(credentials, .fini = stop);

static enum kt_verdict build(void)
{
    kt_exchange_reset(&f.x);
    return cred.source->build(&cred, &f.call, &f.x, &f.token);
}

static enum kt_verdict reply(long status, const char *body)
{
    kms_fixture_reply(&f, status, body);
    return cred.source->parse(&cred, &f.call, &f.x, &f.token);
}

Test(credentials, the_document_wins_over_the_environment)
{
    start(KT_KMS_AWS, "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"B\",\"sessionToken\":\"C\"}");
    environment[0] = "AWS_ACCESS_KEY_ID", environment[1] = "X", environment[2] = "AWS_SECRET_ACCESS_KEY",
    environment[3] = "Y";
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_DONE);
    cr_expect_str_eq(kt_token_first(&f.token), "A");
    cr_expect_str_eq(kt_token_secret(&f.token), "B");
    cr_expect_str_eq(kt_token_session(&f.token), "C");
    cr_expect_eq(f.token.expires_ms, 0);
}

Test(credentials, order_of_the_aws_sources)
{
    start(KT_KMS_AWS, "{}");
    cr_expect_str_eq(kt_cred_choose(&cred)->name, "instance metadata service");
    environment[0] = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", environment[1] = "/x";
    cr_expect_str_eq(kt_cred_choose(&cred)->name, "container");
    environment[2] = "AWS_WEB_IDENTITY_TOKEN_FILE", environment[3] = "/f";
    environment[4] = "AWS_ROLE_ARN", environment[5] = "arn";
    cr_expect_str_eq(kt_cred_choose(&cred)->name, "web identity");
    environment[6] = "AWS_ACCESS_KEY_ID", environment[7] = "a", environment[8] = "AWS_SECRET_ACCESS_KEY",
    environment[9] = "b";
    cr_expect_str_eq(kt_cred_choose(&cred)->name, "environment");
    memset(environment, 0, sizeof environment);
    environment[0] = "AWS_EC2_METADATA_DISABLED", environment[1] = "true";
    cr_expect_eq(kt_cred_choose(&cred), NULL);
}

Test(credentials, instance_metadata_takes_three_steps)
{
    start(KT_KMS_AWS, "{}");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_eq(f.x.method, KT_PUT);
    cr_expect_str_eq(f.x.url, "http://169.254.169.254/latest/api/token");
    cr_expect(f.x.metadata);
    cr_assert_eq(reply(200, "imds-session"), KT_V_NEXT);
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "http://169.254.169.254/latest/meta-data/iam/security-credentials/");
    cr_expect(kms_fixture_header(&f, "X-aws-ec2-metadata-token: imds-session"));
    cr_assert_eq(reply(200, "role\nother\n"), KT_V_NEXT);
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "http://169.254.169.254/latest/meta-data/iam/security-credentials/role");
    cr_assert_eq(reply(200, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"C\",\"Expiration\":"
                            "\"2023-11-14T22:15:00Z\"}"),
                 KT_V_DONE);
    cr_expect_str_eq(kt_token_session(&f.token), "C");
    cr_expect_eq(f.token.expires_ms, 1700000100000);
    cr_expect_eq(f.token.refresh_ms, 1700000080000, "at 80%% of the lifetime");
}

Test(credentials, a_fault_on_the_way_starts_anew)
{
    start(KT_KMS_AWS, "{}");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_assert_eq(reply(200, "imds-session"), KT_V_NEXT);
    cr_assert_eq(build(), KT_V_SEND);
    cr_assert_eq(reply(503, ""), KT_V_FAULT);
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "http://169.254.169.254/latest/api/token");
    cr_expect_eq(reply(200, "\r\nX-Evil: 1"), KT_V_FINAL, "no header can be smuggled in");
}

Test(credentials, oauth_replies)
{
    start(KT_KMS_AZURE, "{\"tenantId\":\"t\",\"clientId\":\"c&d\",\"clientSecret\":\"s+/=\"}");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
    cr_expect(kms_fixture_body_has(
        &f, "client_id=c%26d&scope=https%3A%2F%2Fvault.azure.net%2F.default&grant_type=client_"
            "credentials&client_secret=s%2B%2F%3D"));
    cr_expect_eq(reply(200, "{\"access_token\":\"T\",\"expires_in\":100}"), KT_V_DONE);
    cr_expect_str_eq(kt_token_first(&f.token), "T");
    cr_expect_eq(f.token.expires_ms, 1700000100000);
    cr_expect_eq(reply(200, "{\"access_token\":\"T\",\"expires_in\":\"100\"}"), KT_V_DONE,
                 "a string, as Azure's metadata has it");
    cr_expect_eq(reply(200, "{\"access_token\":\"T\\r\\nX: 1\",\"expires_in\":100}"), KT_V_FAULT);
    cr_expect_eq(reply(200, "{\"access_token\":\"T\",\"expires_in\":-1}"), KT_V_FAULT);
    cr_expect_eq(reply(200, "{\"access_token\":\"T\",\"expires_in\":99999999999}"), KT_V_FAULT);
    cr_expect_eq(reply(200, "{\"access_token\":\"T\"}"), KT_V_FAULT);
    cr_expect_eq(reply(200, "<html>"), KT_V_FAULT);
    cr_expect_eq(reply(400, "{\"error\":\"invalid_grant\"}"), KT_V_FINAL);
    cr_expect_eq(reply(400, "{\"error\":\"temporarily_unavailable\"}"), KT_V_FAULT);
    cr_expect_eq(reply(429, ""), KT_V_THROTTLED);
    cr_expect_eq(reply(500, ""), KT_V_FAULT);
}

Test(credentials, a_tenant_cannot_leave_its_path)
{
    start(KT_KMS_AZURE, "{\"tenantId\":\"../x?\",\"clientId\":\"c\",\"clientSecret\":\"s\"}");
    cr_assert(kt_cred_choose(&cred));
    cr_expect_eq(build(), KT_V_FINAL);
}

Test(credentials, container_tokens_do_not_travel_in_the_clear)
{
    start(KT_KMS_AWS, "{}");
    static const char *const uris[] = {"http://example.com/x", "ftp://127.0.0.1/",
                                       "http://127.0.0.1.example.com/", "http://localhostile/"};
    environment[0] = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    for (size_t i = 0; i < 4; i++) {
        environment[1] = uris[i];
        cr_assert(kt_cred_choose(&cred));
        cr_expect_eq(build(), KT_V_FINAL, "%s", uris[i]);
    }
    environment[1] = "http://169.254.170.23/v1/credentials";
    cr_assert(kt_cred_choose(&cred));
    cr_expect_eq(build(), KT_V_SEND);
}

Test(credentials, times)
{
    int64_t ms;
    start(KT_KMS_AWS, "{}");
    cr_expect(kt_cred_time("1970-01-01T00:00:01Z", &ms) && ms == 1000);
    cr_expect(kt_cred_time("2026-03-02T09:14:07.123Z", &ms) && ms == 1772442847000);
    cr_expect_not(kt_cred_time("yesterday", &ms));
    cr_expect_not(kt_cred_time("2026-03-02", &ms));
    cr_expect_not(kt_cred_time("", &ms));
}

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

Test(credentials, profile_files)
{
    start(KT_KMS_AWS, "{}");
    ini("default", "a", "2");
    ini("profile x", "a", "b=c;d");
    ini("profile x", "empty", NULL);
    ini("x", "a", NULL);
    ini("default", "loose", NULL);
    ini("profile y", "a", NULL);
}

Test(credentials, a_jwt_verifies)
{
    start(KT_KMS_GCP, "{}");
    EVP_PKEY *key = EVP_RSA_gen(3072);
    struct kt_secbuf out;
    struct kt_jwt_claims claims = {"me@x", "https://t/token", "scope", NULL, 1700000000, 300};
    kt_secbuf_init(&out, f.secmem);
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

Test(credentials, private_keys_that_are_none)
{
    start(KT_KMS_GCP, "{}");
    static const char *const bad[] = {
        "",           "AAAA",  "0", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN", "MIIE!!"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(kt_jwt_key(kt_span_str(bad[i]), f.secmem), NULL, "%s", bad[i]);
}

Test(credentials, tls_options)
{
    start(KT_KMS_AWS, "{}");
    static const char *const bad[] = {"{\"tlsInsecure\":true}", "{\"tlsAllowInvalidCertificates\":false}",
                                      "{\"x\":1}", "{\"tlsCAFile\":5}"};
    struct kt_error err;
    struct kt_tls tls;
    for (size_t i = 0; i < 4; i++) {
        bson_t *doc = kt_json_parse(kt_span_str(bad[i]));
        cr_expect_eq(kt_tls_init(&tls, "aws", kt_span_of(bson_get_data(doc), doc->len), f.secmem, &err),
                     KT_E_CONFIG);
        cr_expect(strstr(err.message, "aws"));
        bson_destroy(doc);
    }
    bson_t *doc = kt_json_parse(
        kt_span_str("{\"tlsCAFile\":\"/"
                    "ca\",\"tlsCertificateKeyFilePassword\":\"pw\",\"tlsDisableOCSPEndpointCheck\":true}"));
    cr_assert_eq(kt_tls_init(&tls, "aws", kt_span_of(bson_get_data(doc), doc->len), f.secmem, &err), KT_OK);
    bson_destroy(doc);
    cr_expect_str_eq(tls.ca_file, "/ca");
    cr_expect_str_eq(tls.password, "pw");
    cr_expect_eq(tls.certificate_file, NULL);
    kt_tls_free(&tls);
}
