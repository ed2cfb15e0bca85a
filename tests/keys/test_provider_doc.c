/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/provider_doc.h"

#include <criterion/criterion.h>

#include "tests/keys/providers_json.h"

static struct fixture f;

static void open_fixture(void)
{
    static const char *const ids[] = {"local", NULL};
    fixture_open(&f, ids);
}

static void close_fixture(void)
{
    fixture_close(&f);
}

TestSuite(provider_doc, .init = open_fixture, .fini = close_fixture);

Test(provider_doc, tokens_stand_alone)
{
    kt_providers_free(
        providers_parsed(&f, "{\"azure\":{\"accessToken\":\"t\"},\"gcp:x\":{\"accessToken\":\"t\"}}", NULL));
    providers_refused(&f, "{\"azure\":{\"accessToken\":\"t\",\"tenantId\":\"s3cret\"}}", NULL,
                      "azure: tenantId is no field");
    providers_refused(&f, "{\"gcp\":{\"accessToken\":\"t\",\"email\":\"s3cret\"}}", NULL,
                      "gcp: email is no field");
    providers_refused(&f, "{\"azure\":{\"accessToken\":1}}", NULL, "azure: accessToken must be a string");
}

Test(provider_doc, local_keys_of_any_other_length_or_form_are_refused)
{
    providers_refused(&f, "{\"local\":{\"key\":\"Zm9v\"}}", NULL, "local: key must be 96 bytes, here 3");
    providers_refused(&f, "{\"local\":{\"key\":\"" KEY64 "Zg==\"}}", NULL,
                      "local: key must be 96 bytes, here 97");
    providers_refused(&f, "{\"local\":{\"key\":{\"$binary\":{\"base64\":\"Zm9v\",\"subType\":\"00\"}}}}",
                      NULL, "local: key must be 96 bytes, here 3");
    providers_refused(&f, "{\"local\":{\"key\":{\"$binary\":{\"base64\":\"\",\"subType\":\"00\"}}}}", NULL,
                      "local: key is empty");
    providers_refused(&f, "{\"local\":{\"key\":\"\"}}", NULL, "local: key is empty");
    providers_refused(&f, "{\"local:s\":{\"key\":\"s3cret!\"}}", NULL, "local:s: key is no base64");
    providers_refused(&f, "{\"local\":{\"key\":7}}", NULL, "local: key must be binary or a base64 string");
    providers_refused(&f, "{\"local\":{\"key\":\"" KEY64 "\",\"extra\":1}}", NULL,
                      "local: extra is no field");
}

Test(provider_doc, missing_and_unknown_fields_are_named)
{
    providers_refused(&f, "{\"aws\":{\"accessKeyId\":\"a\"}}", NULL,
                      "kmsProviders: aws: secretAccessKey is missing");
    providers_refused(&f, "{\"aws\":{\"secretAccessKey\":\"s3cret\"}}", NULL, "aws: accessKeyId is missing");
    providers_refused(&f, "{\"aws\":{\"accessKeyId\":\"a\",\"secretAccessKey\":\"s3cret\",\"region\":\"r\"}}",
                      NULL, "aws: region is no field");
    providers_refused(&f, "{\"azure\":{\"tenantId\":\"t\",\"clientId\":\"c\"}}", NULL,
                      "azure: clientSecret is missing");
    providers_refused(&f, "{\"gcp\":{\"email\":\"e\"}}", NULL, "gcp: privateKey is missing");
    providers_refused(&f, "{\"gcp\":{\"email\":\"e\",\"privateKey\":\"s3cret!\"}}", NULL,
                      "gcp: privateKey is no base64");
    providers_refused(&f, "{\"kmip\":{\"endpoint\":\"h\",\"port\":1}}", NULL, "kmip: port is no field");
}

Test(provider_doc, wrong_types_are_named_without_the_value)
{
    providers_refused(&f, "{\"aws\":{\"accessKeyId\":1,\"secretAccessKey\":\"s3cret\"}}", NULL,
                      "accessKeyId must be a string");
    providers_refused(&f, "{\"aws\":{\"accessKeyId\":\"a\",\"secretAccessKey\":[\"s3cret\"]}}", NULL,
                      "secretAccessKey must be a string");
    providers_refused(&f, "{\"aws\":{\"accessKeyId\":\"\",\"secretAccessKey\":\"s3cret\"}}", NULL,
                      "accessKeyId is empty");
    providers_refused(&f, "{\"aws\":{\"accessKeyId\":\"a\\u0000b\",\"secretAccessKey\":\"s3cret\"}}", NULL,
                      "accessKeyId contains a NUL");
    providers_refused(&f, "{\"aws\":\"s3cret\"}", NULL, "\"aws\" must be a document");
    providers_refused(&f, "{\"aws\":[]}", NULL, "\"aws\" must be a document");
    providers_refused(&f, "{\"kmip\":{\"endpoint\":5}}", NULL, "kmip: endpoint must be a string");
}

Test(provider_doc, hosts_need_a_dot_but_for_kmip)
{
    providers_refused(&f, "{\"gcp\":{\"email\":\"e\",\"privateKey\":\"Zm9v\",\"endpoint\":\"localhost\"}}",
                      NULL, "gcp: endpoint must be host[:port]");
    providers_refused(&f,
                      "{\"azure\":{\"tenantId\":\"t\",\"clientId\":\"c\",\"clientSecret\":\"s3cret\","
                      "\"identityPlatformEndpoint\":\"localhost\"}}",
                      NULL, "identityPlatformEndpoint must be host[:port]");
    kt_providers_free(providers_parsed(&f, "{\"kmip\":{\"endpoint\":\"localhost\"}}", NULL));
    kt_providers_free(providers_parsed(&f, "{\"kmip\":{\"endpoint\":\"tls://keys:5696/\"}}", NULL));
    kt_providers_free(providers_parsed(&f, "{\"kmip\":{\"endpoint\":\"[::1]:5696\"}}", NULL));
    providers_refused(&f, "{\"kmip\":{\"endpoint\":\"https://\"}}", NULL,
                      "kmip: endpoint must be host[:port], and has no host");
    providers_refused(&f, "{\"kmip\":{\"endpoint\":\"keys:port\"}}", NULL,
                      "kmip: endpoint must be host[:port], and has a port");
    providers_refused(&f, "{\"gcp\":{\"email\":\"e\",\"privateKey\":\"Zm9v\",\"endpoint\":\"https:///x.y\"}}",
                      NULL, "gcp: endpoint must be host[:port], and has no host");
}

Test(provider_doc, insecure_tls_options_are_prohibited_by_name)
{
    static const char *const insecure[] = {"tlsInsecure", "tlsAllowInvalidCertificates",
                                           "tlsAllowInvalidHostnames",
                                           "tlsDisableCertificateRevocationCheck"};
    for (size_t i = 0; i < 4; i++) {
        char tls[200], says[200];
        snprintf(tls, sizeof tls, "{\"kmip\":{\"tlsCAFile\":\"a\",\"%s\":false}}", insecure[i]);
        snprintf(says, sizeof says, "tlsOptions: kmip: Insecure TLS options prohibited: %s", insecure[i]);
        providers_refused(&f, "{\"kmip\":{\"endpoint\":\"h\"}}", tls, says);
    }
    providers_refused(&f, "{\"kmip\":{\"endpoint\":\"h\"}}", "{\"kmip\":{\"TLSINSECURE\":1}}",
                      "Insecure TLS options prohibited");
}

Test(provider_doc, wrong_tls_options_are_refused)
{
    static const char kms[] = "{\"kmip\":{\"endpoint\":\"h\"},\"local\":{\"key\":\"" KEY64 "\"}}";
    providers_refused(&f, kms, "{\"kmip\":{\"tlsCaFile\":\"a\"}}", "tlsOptions: kmip: tlsCaFile is no field");
    providers_refused(&f, kms, "{\"kmip\":{\"tlsCAFile\":7}}", "kmip: tlsCAFile must be a string");
    providers_refused(&f, kms, "{\"kmip\":{\"tlsDisableOCSPEndpointCheck\":1}}", "must be true or false");
    providers_refused(&f, kms, "{\"kmip\":\"s3cret\"}", "tlsOptions: \"kmip\" must be a document");
    providers_refused(&f, kms, "{\"local\":{\"tlsCAFile\":\"a\"}}",
                      "\"local\" is no KMS provider that is reached by TLS");
    providers_refused(&f, kms, "{\"ldap\":{\"tlsCAFile\":\"a\"}}", "\"ldap\" is no KMS provider");
}
