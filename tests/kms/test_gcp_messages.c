/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "kms/gcp.h"

#define KEY "projects/p/locations/global/keyRings/r/cryptoKeys/k"
#define CMK                                                                                                  \
    "{\"provider\":\"gcp\",\"projectId\":\"p\",\"location\":\"global\",\"keyRing\":\"r\",\"keyName\":\"k\""
#define DEK                                                                                                  \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+"                   \
    "P0BBQkNERUZHSElKS0xNTk9QUV"                                                                             \
    "JTVFVWV1hZWltcXV5f"

static struct kms_fixture f;

static void stop(void)
{
    kms_fixture_close(&f);
}

TestSuite(gcp_messages, .fini = stop);

Test(gcp_messages, encrypt_names_the_version)
{
    kms_fixture_open(&f, KT_KMS_GCP, KT_KMS_WRAP, CMK ",\"keyVersion\":\"7\"}");
    cr_assert_eq(kt_gcp_build(&f.call, &f.cmk, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://cloudkms.googleapis.com/v1/" KEY "/cryptoKeyVersions/7:encrypt");
    cr_expect(kms_fixture_header(&f, "Authorization: Bearer AKID"));
    cr_expect(kms_fixture_body_has(&f, "{\"plaintext\":\"" DEK "\"}"));
}

Test(gcp_messages, decrypt_never_does)
{
    kms_fixture_open(&f, KT_KMS_GCP, KT_KMS_UNWRAP,
                     CMK ",\"keyVersion\":\"7\",\"endpoint\":\"kms.example:99\"}");
    cr_assert_eq(kt_gcp_build(&f.call, &f.cmk, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://kms.example:99/v1/" KEY ":decrypt");
    cr_expect(kms_fixture_body_has(&f, "{\"ciphertext\":\"" DEK "\"}"));
}

Test(gcp_messages, scope_follows_the_endpoint)
{
    char scope[200];
    kms_fixture_open(&f, KT_KMS_GCP, KT_KMS_WRAP, CMK "}");
    cr_assert(kt_gcp_scope(&f.cmk, scope, sizeof scope));
    cr_expect_str_eq(scope, "https://www.googleapis.com/auth/cloudkms");
    f.cmk.endpoint = "cloudkms.example.org:443";
    cr_assert(kt_gcp_scope(&f.cmk, scope, sizeof scope));
    cr_expect_str_eq(scope, "https://www.example.org:443/auth/cloudkms");
    cr_expect_not(kt_gcp_scope(&f.cmk, scope, 10));
}

static void judged(long status, const char *body, enum kt_verdict verdict, enum kt_kms_reason reason)
{
    kms_fixture_reply(&f, status, body);
    enum kt_verdict got = kt_gcp_parse(&f.call, &f.cmk, &f.x);
    cr_expect_eq(got, verdict, "%ld %s: verdict %d", status, body, (int)got);
    cr_expect_eq(f.call.reason, reason, "%ld %s: %s", status, body, kt_kms_reason_text(f.call.reason));
}

#define ERROR(code, status) "{\"error\":{\"code\":" code ",\"message\":\"m\",\"status\":\"" status "\"}}"

Test(gcp_messages, errors)
{
    kms_fixture_open(&f, KT_KMS_GCP, KT_KMS_UNWRAP, CMK "}");
    judged(429, ERROR("429", "RESOURCE_EXHAUSTED"), KT_V_THROTTLED, KT_KMS_R_THROTTLED);
    judged(401, ERROR("401", "UNAUTHENTICATED"), KT_V_EXPIRED, KT_KMS_R_CREDENTIALS);
    judged(401, "<html>", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS);
    judged(403, ERROR("403", "PERMISSION_DENIED"), KT_V_FINAL, KT_KMS_R_DENIED);
    judged(404, ERROR("404", "NOT_FOUND"), KT_V_FINAL, KT_KMS_R_MISSING);
    judged(400, ERROR("400", "FAILED_PRECONDITION"), KT_V_FINAL, KT_KMS_R_DISABLED);
    judged(400, ERROR("400", "INVALID_ARGUMENT"), KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(503, ERROR("503", "UNAVAILABLE"), KT_V_FAULT, KT_KMS_R_NETWORK);
    judged(504, "", KT_V_FAULT, KT_KMS_R_NETWORK);
    judged(400, "{}", KT_V_FAULT, KT_KMS_R_REPLY);
}

Test(gcp_messages, replies_are_checked)
{
    kms_fixture_open(&f, KT_KMS_GCP, KT_KMS_WRAP, CMK ",\"keyVersion\":\"7\"}");
    judged(200, "{\"name\":\"" KEY "/cryptoKeyVersions/7\",\"ciphertext\":\"" DEK "\"}", KT_V_DONE,
           KT_KMS_R_NONE);
    judged(200, "{\"name\":\"" KEY "/cryptoKeyVersions/8\",\"ciphertext\":\"" DEK "\"}", KT_V_FAULT,
           KT_KMS_R_REPLY);
    judged(200, "{\"name\":\"" KEY "2/cryptoKeyVersions/7\",\"ciphertext\":\"" DEK "\"}", KT_V_FAULT,
           KT_KMS_R_REPLY);
    judged(200, "{\"ciphertext\":\"" DEK "\"}", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"name\":\"" KEY "/cryptoKeyVersions/7\"}", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"name\":\"" KEY "/cryptoKeyVersions/7\",\"ciphertext\":\"AAAA\"}", KT_V_FAULT,
           KT_KMS_R_REPLY);
    judged(200, "nothing", KT_V_FAULT, KT_KMS_R_REPLY);
}
