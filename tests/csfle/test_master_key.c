/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "csfle/key_doc.h"
#include "csfle/kms_endpoint.h"
#include "tests/csfle/csfle_support.h"

static void normalised(const char *provider, const char *json, const char *expected_json)
{
    bson_t *in = kt_json(json), *expected = kt_json(expected_json);
    struct kt_buf out = {0};
    struct kt_error err = {0};
    cr_assert_eq(kt_master_key_normalise(kt_span_str(provider), kt_bson_span(in), &out, &err), KT_OK, "%s",
                 err.message);
    cr_expect(kt_span_equal(kt_span_of(out.data, out.nbytes), kt_bson_span(expected)), "%s", expected_json);
    kt_buf_free(&out);
    bson_destroy(in);
    bson_destroy(expected);
}

static void refused(const char *provider, const char *json, const char *message)
{
    bson_t *in = kt_json(json);
    struct kt_buf out = {0};
    struct kt_error err = {0};
    cr_expect_eq(kt_master_key_normalise(kt_span_str(provider), kt_bson_span(in), &out, &err), KT_E_CONFIG,
                 "%s", json);
    cr_expect_not_null(strstr(err.message, message), "'%s' instead of '%s'", err.message, message);
    cr_expect_eq(out.nbytes, 0);
    kt_buf_free(&out);
    bson_destroy(in);
}

Test(master_key, stored_form)
{
    normalised("local", "{}", "{'provider': 'local'}");
    normalised("local:old", "{'provider': 'local:old'}", "{'provider': 'local:old'}");
    normalised(
        "aws",
        "{'endpoint': 'https://kms.us-east-1.amazonaws.com/path?q=1', 'key': 'arn', 'region': 'us-east-1'}",
        "{'provider': 'aws', 'region': 'us-east-1', 'key': 'arn', 'endpoint': "
        "'kms.us-east-1.amazonaws.com'}");
    normalised("aws:x_1", "{'key': 'arn', 'region': 'r', 'endpoint': 'a.b:4433'}",
               "{'provider': 'aws:x_1', 'region': 'r', 'key': 'arn', 'endpoint': 'a.b:4433'}");
    normalised(
        "azure", "{'keyVersion': 'v', 'keyName': 'n', 'keyVaultEndpoint': 'https://v.vault.azure.net/'}",
        "{'provider': 'azure', 'keyVaultEndpoint': 'v.vault.azure.net', 'keyName': 'n', 'keyVersion': 'v'}");
    normalised("gcp",
               "{'keyName': 'n', 'keyRing': 'r', 'location': 'l', 'projectId': 'p', 'provider': 'gcp'}",
               "{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r', 'keyName': 'n'}");
    normalised("kmip", "{}", "{'provider': 'kmip'}");
    normalised("kmip", "{'keyId': '7', 'delegated': true, 'endpoint': 'localhost:5696'}",
               "{'provider': 'kmip', 'endpoint': 'localhost:5696', 'delegated': true, 'keyId': '7'}");
    normalised("kmip", "{'delegated': false}", "{'provider': 'kmip'}");
    struct kt_buf out = {0};
    cr_expect_eq(kt_master_key_normalise(kt_span_str("local"), kt_span_of(NULL, 0), &out, NULL), KT_OK);
    kt_buf_free(&out);
}

Test(master_key, refused_forms)
{
    refused("ibm", "{}", "unknown KMS provider 'ibm'");
    refused("", "{}", "unknown KMS provider ''");
    refused("aws:", "{}", "unknown KMS provider 'aws:'");
    refused("aws:a-b", "{}", "unknown KMS provider 'aws:a-b'");
    refused("aws", "{'provider': 'gcp', 'region': 'r', 'key': 'k'}",
            "masterKey for aws names another provider");
    refused("aws:a", "{'provider': 'aws', 'region': 'r', 'key': 'k'}",
            "masterKey for aws:a names another provider");
    refused("aws", "{'region': 'r'}", "masterKey for aws: has no 'key'");
    refused("aws", "{'region': '', 'key': 'k'}", "masterKey for aws: 'region' is empty");
    refused("aws", "{'region': 'r', 'key': 'a\\u0000b'}", "'key' must be a string without NUL");
    refused("aws", "{'region': 'r', 'key': 'k', 'regoin': 'x'}", "unknown field 'regoin'");
    refused("azure", "{'keyName': 'n', 'keyVaultEndpoint': 'vault'}",
            "'keyVaultEndpoint' has no dot in its host");
    refused("local", "{'key': 'AAAA'}", "unknown field 'key'");
    struct kt_buf out = {0};
    struct kt_error err;
    cr_expect_eq(kt_master_key_normalise(kt_span_str("aws"), kt_span_of("\6\0\0\0", 5), &out, &err),
                 KT_E_CONFIG);
}

static void endpoint(const char *text, bool dot, const char *expected, const char *wrong)
{
    struct kt_span host_port;
    const char *why = kt_endpoint_host_port(kt_span_str(text), dot, &host_port);
    if (wrong) {
        cr_assert_not_null(why, "%s", text);
        cr_expect_str_eq(why, wrong, "%s", text);
    } else {
        cr_assert_null(why, "%s: %s", text, why);
        cr_expect(kt_span_equal(host_port, kt_span_str(expected)), "%s", text);
    }
}

Test(master_key, endpoints)
{
    endpoint("a.b", true, "a.b", NULL);
    endpoint("https://a.b", true, "a.b", NULL);
    endpoint("a.b/", true, "a.b", NULL);
    endpoint("a.b?x=1", true, "a.b", NULL);
    endpoint("a.b:1/x?y", true, "a.b:1", NULL);
    endpoint("a.b:65535", true, "a.b:65535", NULL);
    endpoint("host", false, "host", NULL);
    endpoint("", true, NULL, "is empty");
    endpoint("https://", true, NULL, "has no host");
    endpoint("https:///x", true, NULL, "has no host");
    endpoint(":443", true, NULL, "has no host");
    endpoint("host", true, NULL, "has no dot in its host");
    endpoint("host/a.b", true, NULL, "has no dot in its host");
    endpoint("user@a.b", true, NULL, "has a host with a character that no host name has");
    endpoint("a.b\r\nX: y", true, NULL, "has a host with a character that no host name has");
    endpoint("a.b:", true, NULL, "has a port that is no number from 1 to 65535");
    endpoint("a.b:65536", true, NULL, "has a port that is no number from 1 to 65535");
    endpoint("a.b:123456", true, NULL, "has a port that is no number from 1 to 65535");
    endpoint("a.b:4a", true, NULL, "has a port that is no number from 1 to 65535");
}

static void described(const char *json, const char *expected)
{
    bson_t *doc = kt_json(json);
    char text[256];
    kt_master_key_describe(kt_bson_span(doc), text, sizeof text);
    cr_expect_str_eq(text, expected);
    for (size_t n = 1; n < 40; n++) {
        char *small = malloc(n);
        kt_master_key_describe(kt_bson_span(doc), small, n);
        cr_expect_eq(strncmp(small, expected, strlen(small)), 0);
        cr_expect_eq(strlen(small), strlen(expected) < n - 1 ? strlen(expected) : n - 1);
        free(small);
    }
    bson_destroy(doc);
}

Test(master_key, short_names)
{
    described("{'provider': 'local:old'}", "local:old");
    described("{'provider': 'aws', 'region': 'us-east-1', 'key': "
              "'arn:aws:kms:us-east-1:579766882180:key/89fcc2c4-08b0-4bd9-9f25-e30687b580d0'}",
              "aws us-east-1 key/89fcc2c4...");
    described("{'provider': 'aws:eu', 'region': 'r', 'key': 'alias/app'}", "aws:eu r alias/app");
    described("{'provider': 'azure', 'keyVaultEndpoint': 'eu-kv.vault.azure.net', 'keyName': 'cmk1'}",
              "azure eu-kv.vault.azure.net/cmk1");
    described(
        "{'provider': 'gcp', 'projectId': 'p', 'location': 'global', 'keyRing': 'app', 'keyName': 'k1'}",
        "gcp p/global/app/k1");
    described("{'provider': 'kmip', 'endpoint': 'h:1', 'keyId': '7'}", "kmip h:1 7");
    described("{'provider': 'kmip', 'keyId': 'a\\u001b[2Jb'}", "kmip a?[2Jb");
    described("{'provider': 'ibm'}", "unknown");
    described("{}", "unknown");
}

static bool may_be_same(const char *a, const char *b)
{
    bson_t *one = kt_json(a), *other = kt_json(b);
    bool same = kt_master_key_may_be_same(kt_bson_span(one), kt_bson_span(other));
    cr_expect_eq(same, kt_master_key_may_be_same(kt_bson_span(other), kt_bson_span(one)));
    bson_destroy(one);
    bson_destroy(other);
    return same;
}

Test(master_key, one_key_by_other_names)
{
    static const char *const same[][2] = {
        {"{'provider': 'azure', 'keyVaultEndpoint': 'v.vault.azure.net', 'keyName': 'k'}",
         "{'provider': 'azure:b', 'keyVaultEndpoint': 'V.vault.azure.net', 'keyName': 'k', 'keyVersion': "
         "'1a'}"},
        {"{'provider': 'aws', 'region': 'r', 'key': 'arn:aws:kms:r:1:key/a'}",
         "{'provider': 'aws', 'region': 'r', 'key': 'arn:aws:kms:r:1:alias/x'}"},
        {"{'provider': 'aws', 'region': 'r', 'key': 'arn:aws:kms:r:1:key/a'}",
         "{'provider': 'aws:b', 'region': 'r', 'key': 'a', 'endpoint': 'h.example.com'}"},
        {"{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r', 'keyName': 'k'}",
         "{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r', 'keyName': 'k', "
         "'keyVersion': '2'}"},
        {"{'provider': 'kmip', 'keyId': '7'}",
         "{'provider': 'kmip', 'keyId': '7', 'endpoint': 'h.example.com'}"},
        {"{'provider': 'local:a'}", "{'provider': 'local:a'}"},
        {"{'provider': 'unknown'}", "{'provider': 'local:a'}"},
    };
    static const char *const others[][2] = {
        {"{'provider': 'azure', 'keyVaultEndpoint': 'v.vault.azure.net', 'keyName': 'k'}",
         "{'provider': 'azure', 'keyVaultEndpoint': 'w.vault.azure.net', 'keyName': 'k'}"},
        {"{'provider': 'aws', 'region': 'r', 'key': 'arn:aws:kms:r:1:key/a'}",
         "{'provider': 'aws', 'region': 'r', 'key': 'arn:aws:kms:r:1:key/b'}"},
        {"{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r', 'keyName': 'k'}",
         "{'provider': 'gcp', 'projectId': 'p', 'location': 'l', 'keyRing': 'r', 'keyName': 'j'}"},
        {"{'provider': 'kmip', 'keyId': '7'}", "{'provider': 'kmip', 'keyId': '8'}"},
        {"{'provider': 'local:a'}", "{'provider': 'local:b'}"},
        {"{'provider': 'local'}", "{'provider': 'kmip', 'keyId': '8'}"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        cr_expect(may_be_same(same[i][0], same[i][1]), "%s", same[i][1]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_not(may_be_same(others[i][0], others[i][1]), "%s", others[i][1]);
}
