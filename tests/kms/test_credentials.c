/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "kms/credentials.h"

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

Test(credentials, a_token_endpoint_may_be_a_url)
{
    start(KT_KMS_AZURE, "{\"tenantId\":\"t\",\"clientId\":\"c\",\"clientSecret\":\"s\","
                        "\"identityPlatformEndpoint\":\"https://login.example.com:8443/x/\"}");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://login.example.com:8443/t/oauth2/v2.0/token");
    stop();
    start(KT_KMS_AZURE, "{\"tenantId\":\"t\",\"clientId\":\"c\",\"clientSecret\":\"s\","
                        "\"identityPlatformEndpoint\":\"https:///x.y\"}");
    cr_assert(kt_cred_choose(&cred));
    cr_expect_eq(build(), KT_V_FINAL);
    cr_expect_eq(f.call.reason, KT_KMS_R_CONFIG);
}

static void host_of(const char *json, const char *want)
{
    struct kt_span host;
    bson_t *doc = kt_json_parse(kt_span_str(json));
    bool legal = kt_doc_host(doc, "e", &host);
    cr_expect_eq(legal, want != NULL, "%s", json);
    if (legal && want)
        cr_expect(kt_span_equal(host, kt_span_str(want)), "%s: %.*s", json, (int)host.nbytes, host.data);
    kt_json_free(doc);
}

Test(credentials, hosts_of_addresses)
{
    start(KT_KMS_AZURE, "{}");
    host_of("{}", "");
    host_of("{\"e\":\"\"}", "");
    host_of("{\"e\":\"h\"}", "h");
    host_of("{\"e\":\"h.x:1\"}", "h.x:1");
    host_of("{\"e\":\"https://h.x:1/path?q\"}", "h.x:1");
    host_of("{\"e\":\"tls://[::1]:5696\"}", "[::1]:5696");
    host_of("{\"e\":\"https://\"}", NULL);
    host_of("{\"e\":\"https:///path\"}", NULL);
    host_of("{\"e\":\":5696\"}", NULL);
    host_of("{\"e\":\"user@h\"}", NULL);
    host_of("{\"e\":\"h#x\"}", NULL);
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

Test(credentials, container_addresses)
{
    start(KT_KMS_AWS, "{}");
    environment[0] = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", environment[1] = "/v2/credentials/1-2";
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "http://169.254.170.2/v2/credentials/1-2");
    cr_expect_eq(f.x.method, KT_GET);
    cr_expect(f.x.metadata);
    cr_expect_eq(reply(200, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"C\",\"Expiration\":"
                            "\"2023-11-14T22:15:00Z\"}"),
                 KT_V_DONE);
    cr_expect_str_eq(kt_token_session(&f.token), "C");
}

static const char *write_file(const char *text)
{
    static char path[40];
    snprintf(path, sizeof path, "/tmp/keyturn-credentials-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

Test(credentials, a_token_file_is_read_again_each_time)
{
    start(KT_KMS_AWS, "{}");
    environment[0] = "AWS_CONTAINER_CREDENTIALS_FULL_URI", environment[1] = "http://127.0.0.1/x";
    environment[2] = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", environment[3] = write_file("first\n");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect(kms_fixture_header(&f, "Authorization: first"));
    unlink(environment[3]);
    cr_assert_eq(build(), KT_V_FINAL);
    environment[3] = write_file("second");
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect(kms_fixture_header(&f, "Authorization: second"));
    unlink(environment[3]);
}

Test(credentials, azure_app_identity)
{
    start(KT_KMS_AZURE, "{}");
    environment[0] = "IDENTITY_ENDPOINT", environment[1] = "http://127.0.0.1:42/msi/token";
    environment[2] = "IDENTITY_HEADER", environment[3] = "proof";
    environment[4] = "AZURE_CLIENT_ID", environment[5] = "user&assigned";
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "http://127.0.0.1:42/msi/token?api-version=2019-08-01&resource=https%3A%2F%2F"
                              "vault.azure.net&client_id=user%26assigned");
    cr_expect(kms_fixture_header(&f, "X-IDENTITY-HEADER: proof"));
    cr_expect_eq(reply(200, "{\"access_token\":\"T\",\"expires_on\":\"1700000100\"}"), KT_V_DONE);
    cr_expect_eq(f.token.expires_ms, 1700000100000);
    static const char *const incredible[] = {"9223372036854775807", "-9223372036854775808",
                                             "9223372036854776", "0", "1800000000"};
    char body[100];
    for (size_t i = 0; i < sizeof incredible / sizeof incredible[0]; i++) {
        snprintf(body, sizeof body, "{\"access_token\":\"T\",\"expires_on\":%s}", incredible[i]);
        cr_expect_eq(reply(200, body), KT_V_FAULT, "%s", body);
        cr_expect_eq(f.token.expires_ms, 1700000100000, "%s", body);
    }
}

Test(credentials, azure_metadata_that_is_being_updated)
{
    start(KT_KMS_AZURE, "{}");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect(f.x.metadata);
    cr_expect_eq(reply(404, ""), KT_V_FAULT);
    cr_expect_eq(reply(410, ""), KT_V_FAULT);
    cr_expect_eq(reply(429, ""), KT_V_THROTTLED);
    cr_expect_eq(reply(500, ""), KT_V_FAULT);
    cr_expect_eq(reply(400, "{\"error\":\"invalid_request\"}"), KT_V_FINAL);
}

Test(credentials, google_user_credentials)
{
    start(KT_KMS_GCP, "{}");
    environment[0] = "GOOGLE_APPLICATION_CREDENTIALS";
    environment[1] =
        write_file("{\"type\":\"authorized_user\",\"client_id\":\"i&d\",\"client_secret\":\"s=\","
                   "\"refresh_token\":\"r/t\"}");
    cr_assert(kt_cred_choose(&cred));
    cr_assert_eq(build(), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://oauth2.googleapis.com/token");
    cr_expect(kms_fixture_body_has(
        &f, "grant_type=refresh_token&client_id=i%26d&client_secret=s%3D&refresh_token=r%2Ft"));
    cr_expect_eq(reply(200, "{\"access_token\":\"T\",\"expires_in\":100}"), KT_V_DONE);
    unlink(environment[1]);
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
