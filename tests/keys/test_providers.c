/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/providers.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "tests/keys/providers_json.h"

static struct fixture f;
static struct kt_error err;

static void open_fixture(void)
{
    static const char *const ids[] = {"local", NULL};
    fixture_open(&f, ids);
}

static void close_fixture(void)
{
    fixture_close(&f);
}

TestSuite(providers, .init = open_fixture, .fini = close_fixture);

Test(providers, all_providers_with_all_their_fields)
{
    struct kt_providers *p = providers_parsed(
        &f,
        "{\"aws\":{\"accessKeyId\":\"a\",\"secretAccessKey\":\"s\",\"sessionToken\":\"t\"},"
        "\"azure\":{\"tenantId\":\"t\",\"clientId\":\"c\",\"clientSecret\":\"s\","
        "\"identityPlatformEndpoint\":\"https://login.example.com/\"},"
        "\"gcp\":{\"email\":\"e\",\"privateKey\":\"Zm9v\",\"endpoint\":\"oauth2.example.com:443\"},"
        "\"kmip\":{\"endpoint\":\"localhost:5698\"},"
        "\"local\":{\"key\":\"" KEY64 "\"}}",
        NULL);
    static const enum kt_kms kms[] = {KT_KMS_AWS, KT_KMS_AZURE, KT_KMS_GCP, KT_KMS_KMIP, KT_KMS_LOCAL};
    cr_assert_eq(kt_providers_count(p), 5);
    for (size_t i = 0; i < 5; i++) {
        const struct kt_provider *provider = kt_providers_at(p, i);
        cr_expect_eq(provider->kms, kms[i]);
        cr_expect_eq(kt_providers_find(p, kt_span_str(provider->id)), provider);
        cr_expect_eq(provider->local != NULL, provider->kms == KT_KMS_LOCAL);
        cr_expect_eq(provider->credentials.data != NULL, provider->kms != KT_KMS_LOCAL);
        cr_expect_null(provider->tls_options.data);
    }
    cr_expect_str_eq(kt_providers_source(p), "kms.json");
    kt_providers_free(p);
}

Test(providers, credentials_are_kept_as_they_stand)
{
    struct kt_providers *p =
        providers_parsed(&f, "{\"aws:eu\":{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"s3cret\"}}", NULL);
    const struct kt_provider *aws = kt_providers_find(p, kt_span_str("aws:eu"));
    bson_t doc;
    bson_iter_t iter;
    cr_assert_not_null(aws);
    cr_assert(bson_init_static(&doc, aws->credentials.data, aws->credentials.nbytes));
    cr_assert(bson_iter_init_find(&iter, &doc, "secretAccessKey"));
    cr_expect_str_eq(bson_iter_utf8(&iter, NULL), "s3cret");
    kt_providers_free(p);
}

Test(providers, empty_documents_mean_the_environment)
{
    struct kt_providers *p = providers_parsed(&f, "{\"aws\":{},\"azure\":{},\"gcp\":{}}", NULL);
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(kt_providers_at(p, i)->credentials.nbytes, 5);
    kt_providers_free(p);
    providers_refused(&f, "{\"aws:eu\":{}}", NULL, "\"aws:eu\" is empty");
    providers_refused(&f, "{\"local:a\":{}}", NULL, "\"local:a\" is empty");
    providers_refused(&f, "{\"local\":{}}", NULL, "local: key is missing");
    providers_refused(&f, "{\"kmip\":{}}", NULL, "kmip: endpoint is missing");
}

static bool opens_as(const struct kt_provider *provider, const char *key96)
{
    _Alignas(KT_KEY_ALIGN) uint8_t made[KT_KEY_NBYTES] = {0};
    struct kt_key *key = (struct kt_key *)(void *)made;
    kt_keys_prepare(f.engine, (const uint8_t *)key96, &key, 1);
    return memcmp(provider->local, key, KT_KEY_NBYTES) == 0;
}

Test(providers, a_local_key_is_binary_or_base64)
{
    struct kt_providers *p = providers_parsed(
        &f,
        "{\"local\":{\"key\":\"" KEY64 "\"},"
        "\"local:sub0\":{\"key\":{\"$binary\":{\"base64\":\"" KEY64 "\",\"subType\":\"00\"}}},"
        "\"local:sub80\":{\"key\":{\"$binary\":{\"base64\":\"" KEY64 "\",\"subType\":\"80\"}}},"
        "\"local:lines\":{\"key\":\" QUJD\\n" KEY64_REST "\\n\"}}",
        NULL);
    cr_assert_eq(kt_providers_count(p), 4);
    for (size_t i = 0; i < 4; i++)
        cr_expect(opens_as(kt_providers_at(p, i), KEY96), "%s", kt_providers_at(p, i)->id);
    kt_providers_free(p);
}

Test(providers, binary_of_the_old_subtype_is_read_as_drivers_do)
{
    struct kt_providers *p;
    bson_t *doc = BCON_NEW("local", "{", "key",
                           BCON_BIN(BSON_SUBTYPE_BINARY_DEPRECATED, (const uint8_t *)KEY96, 96), "}");
    cr_assert_eq(kt_providers_new(&p, kt_span_of(bson_get_data(doc), doc->len), (struct kt_span){0},
                                  "kms.json", f.secmem, f.engine, &err),
                 KT_OK, "%s", err.message);
    cr_expect(opens_as(kt_providers_at(p, 0), KEY96));
    bson_destroy(doc);
    kt_providers_free(p);
}

Test(providers, ids_are_a_type_with_or_without_a_name)
{
    kt_providers_free(providers_parsed(&f, "{\"kmip:A_z09\":{\"endpoint\":\"h\"}}", NULL));
    static const char *const bad[] = {"loca",     "Local", "local:", "local:a-b", "local:a:b",
                                      "local: a", ":a",    "",       "vault"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char json[400];
        snprintf(json, sizeof json, "{\"%s\":{\"key\":\"" KEY64 "\"}}", bad[i]);
        providers_refused(&f, json, NULL, "is no KMS provider");
    }
}

Test(providers, what_stands_there_twice_is_refused)
{
    bson_t doc = BSON_INITIALIZER, child;
    struct kt_providers *p;
    for (int i = 0; i < 2; i++) {
        BSON_APPEND_DOCUMENT_BEGIN(&doc, "kmip:a", &child);
        BSON_APPEND_UTF8(&child, "endpoint", "h");
        bson_append_document_end(&doc, &child);
    }
    cr_assert_eq(kt_providers_new(&p, kt_span_of(bson_get_data(&doc), doc.len), (struct kt_span){0},
                                  "kms.json", f.secmem, f.engine, &err),
                 KT_E_CONFIG);
    cr_expect_not_null(strstr(err.message, "\"kmip:a\" stands there twice"), "%s", err.message);
    bson_reinit(&doc);
    BSON_APPEND_DOCUMENT_BEGIN(&doc, "kmip", &child);
    BSON_APPEND_UTF8(&child, "endpoint", "h");
    BSON_APPEND_UTF8(&child, "endpoint", "h");
    bson_append_document_end(&doc, &child);
    cr_assert_eq(kt_providers_new(&p, kt_span_of(bson_get_data(&doc), doc.len), (struct kt_span){0},
                                  "kms.json", f.secmem, f.engine, &err),
                 KT_E_CONFIG);
    cr_expect_not_null(strstr(err.message, "kmip: endpoint stands there twice"), "%s", err.message);
    bson_destroy(&doc);
}

Test(providers, nothing_configured_is_refused)
{
    providers_refused(&f, "{}", NULL, "kmsProviders names no KMS provider");
}

Test(providers, broken_bson_is_refused_at_every_length)
{
    bson_t *doc = BCON_NEW("aws", "{", "accessKeyId", BCON_UTF8("a"), "secretAccessKey", BCON_UTF8("b"), "}");
    const uint8_t *data = bson_get_data(doc);
    struct kt_providers *p;
    uint8_t *copy = malloc(doc->len);
    for (uint32_t n = 0; n < doc->len; n++) {
        memcpy(copy, data, n);
        cr_assert_eq(kt_providers_new(&p, kt_span_of(copy, n), (struct kt_span){0}, "kms.json", f.secmem,
                                      f.engine, &err),
                     KT_E_CONFIG);
    }
    cr_assert_eq(
        kt_providers_new(&p, (struct kt_span){0}, (struct kt_span){0}, "kms.json", f.secmem, f.engine, &err),
        KT_E_CONFIG);
    free(copy);
    bson_destroy(doc);
}

Test(providers, damaged_bson_never_reads_outside)
{
    bson_t *doc = BCON_NEW("local:x", "{", "key", BCON_UTF8(KEY64), "}", "aws", "{", "accessKeyId",
                           BCON_UTF8("a"), "secretAccessKey", BCON_UTF8("b"), "}");
    uint8_t *copy = malloc(doc->len);
    size_t before = kt_secmem_available(f.secmem);
    for (uint32_t i = 0; i < doc->len; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct kt_providers *p;
            memcpy(copy, bson_get_data(doc), doc->len);
            copy[i] ^= (uint8_t)(1 << bit);
            if (kt_providers_new(&p, kt_span_of(copy, doc->len), (struct kt_span){0}, "kms.json", f.secmem,
                                 f.engine, &err) == KT_OK)
                kt_providers_free(p);
        }
    cr_expect_eq(kt_secmem_available(f.secmem), before);
    free(copy);
    bson_destroy(doc);
}

Test(providers, tls_options_go_to_their_provider)
{
    struct kt_providers *p =
        providers_parsed(&f, "{\"kmip\":{\"endpoint\":\"h\"},\"kmip:b\":{\"endpoint\":\"h\"}}",
                         "{\"kmip:b\":{\"tlsCAFile\":\"ca.pem\",\"tlsCertificateKeyFile\":\"c.pem\","
                         "\"tlsCertificateKeyFilePassword\":\"s3cret\",\"tlsDisableOCSPEndpointCheck\":true},"
                         "\"aws\":{\"tlsCAFile\":\"not configured, so ignored\"}}");
    cr_expect_null(kt_providers_at(p, 0)->tls_options.data);
    bson_t doc;
    bson_iter_t iter;
    struct kt_span tls = kt_providers_at(p, 1)->tls_options;
    cr_assert(tls.data && bson_init_static(&doc, tls.data, tls.nbytes));
    cr_assert(bson_iter_init_find(&iter, &doc, "tlsCAFile"));
    cr_expect_str_eq(bson_iter_utf8(&iter, NULL), "ca.pem");
    kt_providers_free(p);
}

Test(providers, a_full_pool_is_said_and_leaks_nothing)
{
    struct kt_providers *p;
    uint8_t *last = NULL;
    for (uint8_t *more; (more = kt_secmem_alloc(f.secmem, 1024));)
        last = more;
    while (kt_secmem_alloc(f.secmem, 64))
        ;
    kt_secmem_free(f.secmem, last);
    size_t before = kt_secmem_available(f.secmem);
    cr_expect_eq(providers_parse(&f, "{\"kmip\":{\"endpoint\":\"h\"},\"local:a\":{\"key\":\"" KEY64 "\"}}",
                                 NULL, &p, &err),
                 KT_E_NOMEM);
    cr_expect_not_null(strstr(err.message, "ulimit -l"), "%s", err.message);
    cr_expect_eq(kt_secmem_available(f.secmem), before);
}

Test(providers, nobody_is_found_by_part_of_an_id)
{
    struct kt_providers *p = providers_parsed(&f, "{\"kmip:ab\":{\"endpoint\":\"h\"}}", NULL);
    cr_expect_null(kt_providers_find(p, kt_span_str("kmip")));
    cr_expect_null(kt_providers_find(p, kt_span_str("kmip:a")));
    cr_expect_null(kt_providers_find(p, kt_span_str("kmip:abc")));
    cr_expect_null(kt_providers_find(p, kt_span_str("")));
    cr_expect_not_null(kt_providers_find(p, kt_span_of("kmip:abXYZ", 7)));
    kt_providers_free(p);
}

#if !defined(__SANITIZE_ADDRESS__) /* which keeps copies of freed memory, shadows and fake stacks */
/* {<id>: {<field>: <text>}}, written without a copy of the text. */
static struct kt_span one_provider(uint8_t *out, const char *id, const char *field, const uint8_t *text,
                                   size_t nbytes)
{
    uint8_t *p = out + 4;
    *p++ = 3;
    p = (uint8_t *)stpcpy((char *)p, id) + 1;
    uint8_t *inner = p;
    p += 4;
    *p++ = 2;
    p = (uint8_t *)stpcpy((char *)p, field) + 1;
    kt_store_le32(p, (uint32_t)nbytes + 1);
    memcpy(p + 4, text, nbytes);
    p += 4 + nbytes;
    memset(p, 0, 3);
    kt_store_le32(inner, (uint32_t)(p + 2 - inner));
    kt_store_le32(out, (uint32_t)(p + 3 - out));
    return kt_span_of(out, (size_t)(p + 3 - out));
}

Test(providers, no_secret_is_left_outside_locked_memory)
{
    uint8_t *key = kt_secmem_alloc(f.secmem, 96), *text = kt_secmem_alloc(f.secmem, 129);
    uint8_t *doc = kt_secmem_alloc(f.secmem, 300);
    struct kt_providers *local, *azure;
    cr_assert_eq(RAND_bytes(key, 96), 1);
    cr_assert_eq(EVP_EncodeBlock(text, key, 96), 128);
    struct kt_span span = one_provider(doc, "local", "key", text, 128);
    cr_assert_eq(kt_providers_new(&local, span, (struct kt_span){0}, "kms.json", f.secmem, f.engine, &err),
                 KT_OK, "%s", err.message);
    span = one_provider(doc, "azure", "accessToken", text, 128);
    cr_assert_eq(kt_providers_new(&azure, span, (struct kt_span){0}, "kms.json", f.secmem, f.engine, &err),
                 KT_OK, "%s", err.message);
    for (size_t i = 0; i < 96; i += 16)
        cr_expect_eq(fixture_count_in_memory(&f, key + i, 16), 0);
    for (size_t i = 0; i < 128; i += 16)
        cr_expect_eq(fixture_count_in_memory(&f, text + i, 16), 0);
    uint8_t copy[16];
    memcpy(copy, key + 16, 16);
    cr_expect_geq(fixture_count_in_memory(&f, key + 16, 16), 1, "the search finds what is there");
    kt_wipe(copy, sizeof copy);
    kt_providers_free(local);
    kt_providers_free(azure);
}
#endif
