/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/rsa.h>

#include "fixture.h"
#include "kms/azure.h"

#define VERSION "0123456789abcdef0123456789abcdef"
#define CMK "{\"provider\":\"azure\",\"keyVaultEndpoint\":\"v.vault.azure.net\",\"keyName\":\"k\""
#define PINNED CMK ",\"keyVersion\":\"" VERSION "\"}"
#define KID "https://v.vault.azure.net/keys/k/" VERSION
#define WRAPPED                                                                                              \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-"                   \
    "P0BBQkNERUZHSElKS0xNTk9QUV"                                                                             \
    "JTVFVWV1hZWltcXV5f"

static struct kms_fixture f;

static void stop(void)
{
    kms_fixture_close(&f);
}

TestSuite(azure_messages, .fini = stop);

Test(azure_messages, unwrap_with_and_without_version)
{
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_UNWRAP, PINNED);
    cr_assert_eq(kt_azure_build(&f.call, &f.cmk, f.cmk.version, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, KID "/unwrapkey?api-version=7.1");
    cr_expect(kms_fixture_body_has(&f, "{\"alg\":\"RSA-OAEP-256\",\"value\":\"" WRAPPED "\"}"));
    cr_expect(kms_fixture_header(&f, "Authorization: Bearer AKID"));
    cr_assert_eq(kt_azure_build(&f.call, &f.cmk, NULL, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://v.vault.azure.net/keys/k//unwrapkey?api-version=7.1");
}

Test(azure_messages, scope)
{
    char scope[100];
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_UNWRAP, PINNED);
    cr_assert(kt_azure_scope(&f.cmk, scope, sizeof scope));
    cr_expect_str_eq(scope, "https://vault.azure.net/.default");
    f.cmk.vault = "nodots";
    cr_expect_not(kt_azure_scope(&f.cmk, scope, sizeof scope));
}

static void judged(long status, const char *body, enum kt_verdict verdict, enum kt_kms_reason reason)
{
    kms_fixture_reply(&f, status, body);
    enum kt_verdict got = kt_azure_parse(&f.call, &f.cmk, f.cmk.version, &f.x);
    cr_expect_eq(got, verdict, "%ld %s: verdict %d", status, body, (int)got);
    cr_expect_eq(f.call.reason, reason, "%ld %s: %s", status, body, kt_kms_reason_text(f.call.reason));
}

#define REPLY(kid) "{\"kid\":\"" kid "\",\"value\":\"" WRAPPED "\"}"

Test(azure_messages, replies_are_checked)
{
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_UNWRAP, PINNED);
    judged(200, REPLY(KID), KT_V_DONE, KT_KMS_R_NONE);
    cr_expect_arr_eq(f.out, f.in, 96);
    judged(200, REPLY("https://v.vault.azure.net/keys/k/ffffffffffffffffffffffffffffffff"), KT_V_FAULT,
           KT_KMS_R_REPLY);
    judged(200, REPLY("https://v.vault.azure.net/keys/k2/" VERSION), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, REPLY("https://evil.example/keys/k/" VERSION), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, REPLY("https://v.vault.azure.net.evil.example/keys/other/" VERSION), KT_V_FAULT,
           KT_KMS_R_REPLY);
    judged(200, REPLY("http://v.vault.azure.net/keys/k/" VERSION), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, REPLY("https://v.vault.azure.net/keys/k/"), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"kid\":\"" KID "\"}", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"kid\":\"" KID "\",\"value\":\"AAAA\"}", KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(200, "", KT_V_FAULT, KT_KMS_R_REPLY);
}

#define ERROR(code, message, inner) "{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"" inner "}}"

Test(azure_messages, errors)
{
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_UNWRAP, PINNED);
    judged(401, ERROR("Unauthorized", "AKV10022: Invalid audience.", ""), KT_V_EXPIRED, KT_KMS_R_CREDENTIALS);
    judged(403, ERROR("Forbidden", "no", ",\"innererror\":{\"code\":\"ForbiddenByRbac\"}"), KT_V_FINAL,
           KT_KMS_R_DENIED);
    judged(403, ERROR("Forbidden", "x", ",\"innererror\":{\"code\":\"KeyDisabled\"}"), KT_V_FINAL,
           KT_KMS_R_DISABLED);
    judged(403, ERROR("Forbidden", "Operation unwrapKey is not allowed on a disabled key.", ""), KT_V_FINAL,
           KT_KMS_R_DISABLED);
    judged(404, ERROR("KeyNotFound", "no", ""), KT_V_FINAL, KT_KMS_R_MISSING);
    judged(404, "<html>", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(400, ERROR("BadParameter", "no", ""), KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(429, ERROR("Throttled", "no", ""), KT_V_THROTTLED, KT_KMS_R_THROTTLED);
    judged(500, "", KT_V_FAULT, KT_KMS_R_NETWORK);
}

Test(azure_messages, resolve_pins_the_version)
{
    bson_t made;
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_RESOLVE, CMK "}");
    cr_assert_eq(kt_azure_build_key(&f.call, &f.cmk, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://v.vault.azure.net/keys/k?api-version=7.1");
    kms_fixture_reply(
        &f, 200, "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"RSA-HSM\"},\"attributes\":{\"enabled\":true}}");
    cr_assert_eq(kt_azure_parse_resolve(&f.call, &f.cmk, &f.x), KT_V_DONE);
    cr_assert(kt_doc_view(kt_span_of(f.out, f.call.out_nbytes), &made));
    cr_expect_str_eq(kt_doc_text(&made, "keyVersion"), VERSION);
    kms_fixture_reply(&f, 200, "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"EC\"}}");
    cr_expect_eq(kt_azure_parse_resolve(&f.call, &f.cmk, &f.x), KT_V_FINAL);
    kms_fixture_reply(&f, 200,
                      "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"RSA\"},\"attributes\":{\"enabled\":false}}");
    cr_expect_eq(kt_azure_parse_resolve(&f.call, &f.cmk, &f.x), KT_V_FINAL);
    cr_expect_eq(f.call.reason, KT_KMS_R_DISABLED);
}

Test(azure_messages, weak_or_broken_public_keys_are_refused)
{
    static const char *const parts[] = {"\"n\":\"AQAB\",\"e\":\"AQAB\"", "\"n\":\"\",\"e\":\"AQAB\"",
                                        "\"e\":\"AQAB\"", "\"n\":\"!!\",\"e\":\"AQAB\"",
                                        "\"n\":5,\"e\":\"AQAB\""};
    char body[400];
    EVP_PKEY *key;
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_WRAP, PINNED);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(body, sizeof body, "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"RSA\",%s}}", parts[i]);
        kms_fixture_reply(&f, 200, body);
        cr_expect_eq(kt_azure_parse_key(&f.call, &f.cmk, &f.x, &key), KT_V_FAULT, "%s", parts[i]);
        cr_expect_eq(key, NULL);
    }
}

static void versions(const char *body, enum kt_verdict verdict, size_t count, const char *next)
{
    struct kt_secbuf list, link;
    kt_secbuf_init(&list, f.secmem);
    kt_secbuf_init(&link, f.secmem);
    kms_fixture_reply(&f, 200, body);
    cr_expect_eq(kt_azure_parse_versions(&f.call, &f.cmk, &f.x, &list, &link), verdict, "%s", body);
    cr_expect_eq(list.nbytes, count * 33, "%s", body);
    cr_expect(next ? link.nbytes && strcmp((const char *)link.data, next) == 0 : link.nbytes == 0, "%s",
              body);
    kt_secbuf_free(&list);
    kt_secbuf_free(&link);
}

Test(azure_messages, version_lists_follow_links_to_the_vault_only)
{
    kms_fixture_open(&f, KT_KMS_AZURE, KT_KMS_UNWRAP, CMK "}");
    versions("{\"value\":[{\"kid\":\"" KID "\"},{\"kid\":\"https://other/keys/k/" VERSION
             "\"},{\"kid\":3},4]}",
             KT_V_DONE, 1, NULL);
    versions("{\"value\":[],\"nextLink\":\"https://v.vault.azure.net:443/keys/k/versions?x\"}", KT_V_NEXT, 0,
             "https://v.vault.azure.net:443/keys/k/versions?x");
    versions("{\"value\":[],\"nextLink\":\"https://v.vault.azure.net.evil.example/keys\"}", KT_V_DONE, 0,
             NULL);
    versions("{\"value\":[],\"nextLink\":\"https://v.vault.azure.net@evil.example/keys\"}", KT_V_DONE, 0,
             NULL);
    versions("{\"value\":[],\"nextLink\":null}", KT_V_DONE, 0, NULL);
    versions("{\"value\":7}", KT_V_DONE, 0, NULL);
}
