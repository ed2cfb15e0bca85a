/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "kms/aws.h"

#define ARN "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define OTHER "arn:aws:kms:us-east-1:111122223333:key/99999999-12ab-34cd-56ef-1234567890ab"
#define CMK "{\"provider\":\"aws\",\"region\":\"us-east-1\",\"key\":\"" ARN "\"}"
#define WRAPPED                                                                                              \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+"                   \
    "P0BBQkNERUZHSElKS0xNTk9QUV"                                                                             \
    "JTVFVWV1hZWltcXV5f"

static struct kms_fixture f;

static void start(enum kt_kms_op op, const char *cmk)
{
    kms_fixture_open(&f, KT_KMS_AWS, op, cmk);
}

static void stop(void)
{
    kms_fixture_close(&f);
}

TestSuite(aws_messages, .fini = stop);

Test(aws_messages, encrypt)
{
    start(KT_KMS_WRAP, CMK);
    cr_assert_eq(kt_aws_build(&f.call, &f.cmk, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://kms.us-east-1.amazonaws.com/");
    cr_expect_str_eq(f.x.sigv4, "aws:amz:us-east-1:kms");
    cr_expect_str_eq(f.x.sign_key, "AKID");
    cr_expect_str_eq(f.x.sign_secret, "secret");
    cr_expect(kms_fixture_header(&f, "X-Amz-Target: TrentService.Encrypt"));
    cr_expect(kms_fixture_header(&f, "Content-Type: application/x-amz-json-1.1"));
    cr_expect(kms_fixture_header(&f, "X-Amz-Security-Token: session"));
    cr_expect(kms_fixture_body_has(&f, "{\"Plaintext\":\"" WRAPPED "\",\"KeyId\":\"" ARN "\"}"));
}

Test(aws_messages, decrypt_names_no_key)
{
    start(KT_KMS_UNWRAP, "{\"provider\":\"aws\",\"region\":\"cn-north-1\",\"key\":\"k\"}");
    cr_assert_eq(kt_aws_build(&f.call, &f.cmk, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://kms.cn-north-1.amazonaws.com.cn/");
    cr_expect(kms_fixture_header(&f, "X-Amz-Target: TrentService.Decrypt"));
    cr_expect(kms_fixture_body_has(&f, "{\"CiphertextBlob\":\"" WRAPPED "\"}"));
}

Test(aws_messages, reencrypt)
{
    start(KT_KMS_REWRAP_DRYRUN, "{\"provider\":\"aws\",\"region\":\"eu-west-1\",\"key\":\"alias/"
                                "new\",\"endpoint\":\"kms.example:8443\"}");
    cr_assert_eq(kt_aws_build(&f.call, &f.cmk, &f.token, &f.x), KT_V_SEND);
    cr_expect_str_eq(f.x.url, "https://kms.example:8443/");
    cr_expect(kms_fixture_header(&f, "X-Amz-Target: TrentService.ReEncrypt"));
    cr_expect(kms_fixture_body_has(&f, "\"DestinationKeyId\":\"alias/new\",\"DryRun\":true}"));
}

static void judged(long status, const char *body, enum kt_verdict verdict, enum kt_kms_reason reason)
{
    kms_fixture_reply(&f, status, body);
    enum kt_verdict got = kt_aws_parse(&f.call, &f.cmk, &f.x);
    cr_expect_eq(got, verdict, "%ld %s: verdict %d", status, body, (int)got);
    cr_expect_eq(f.call.reason, reason, "%ld %s: %s", status, body, kt_kms_reason_text(f.call.reason));
    if (verdict != KT_V_DONE)
        cr_expect_eq(f.call.out_nbytes, 0);
}

Test(aws_messages, errors)
{
    start(KT_KMS_UNWRAP, CMK);
    judged(400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}", KT_V_THROTTLED,
           KT_KMS_R_THROTTLED);
    judged(429, "", KT_V_THROTTLED, KT_KMS_R_THROTTLED);
    judged(400, "{\"__type\":\"com.amazonaws.kms#DisabledException\",\"message\":\"x\"}", KT_V_FINAL,
           KT_KMS_R_DISABLED);
    judged(400, "{\"__type\":\"KMSInvalidStateException:http://x/\"}", KT_V_FINAL, KT_KMS_R_DISABLED);
    judged(400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}", KT_V_FINAL, KT_KMS_R_DENIED);
    judged(400, "{\"__type\":\"NotFoundException\"}", KT_V_FINAL, KT_KMS_R_MISSING);
    judged(400, "{\"__type\":\"InvalidCiphertextException\"}", KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(400, "{\"__type\":\"ExpiredTokenException\"}", KT_V_EXPIRED, KT_KMS_R_CREDENTIALS);
    judged(403, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>",
           KT_V_FINAL, KT_KMS_R_CREDENTIALS);
    judged(500, "{\"__type\":\"KMSInternalException\"}", KT_V_FAULT, KT_KMS_R_NETWORK);
    judged(503, "<html>", KT_V_FAULT, KT_KMS_R_NETWORK);
    judged(504, "", KT_V_FAULT, KT_KMS_R_NETWORK);
    judged(408, "", KT_V_FAULT, KT_KMS_R_NETWORK);
    judged(400, "garbage", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(400, "{\"__type\":\"SomethingNew\"}", KT_V_FINAL, KT_KMS_R_CONFIG);
    judged(403, "{}", KT_V_FINAL, KT_KMS_R_DENIED);
    judged(302, "", KT_V_FAULT, KT_KMS_R_REPLY);
}

Test(aws_messages, no_reply_is_judged_by_its_cause)
{
    start(KT_KMS_UNWRAP, CMK);
    f.x.problem_reason = KT_KMS_R_NETWORK;
    judged(0, "half", KT_V_FAULT, KT_KMS_R_NETWORK);
    f.x.problem_reason = KT_KMS_R_TLS;
    judged(0, "", KT_V_FINAL, KT_KMS_R_TLS);
}

#define OPENED(key, algorithm, text)                                                                         \
    "{\"KeyId\":\"" key "\",\"EncryptionAlgorithm\":\"" algorithm "\",\"Plaintext\":\"" text "\"}"

Test(aws_messages, a_dek_is_taken)
{
    start(KT_KMS_UNWRAP, CMK);
    judged(200, OPENED(ARN, "SYMMETRIC_DEFAULT", WRAPPED), KT_V_DONE, KT_KMS_R_NONE);
    cr_expect_eq(f.call.out_nbytes, 96);
    cr_expect_arr_eq(f.out, f.in, 96);
}

Test(aws_messages, replies_are_checked_before_they_are_believed)
{
    start(KT_KMS_UNWRAP, CMK);
    judged(200, OPENED(OTHER, "SYMMETRIC_DEFAULT", WRAPPED), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, OPENED(ARN, "RSAES_OAEP_SHA_256", WRAPPED), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, OPENED(ARN, "SYMMETRIC_DEFAULT", "!!!!"), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, OPENED(ARN, "SYMMETRIC_DEFAULT", "AAAA"), KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(200, OPENED(ARN, "SYMMETRIC_DEFAULT", WRAPPED "AAAA"), KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(200, OPENED(ARN, "SYMMETRIC_DEFAULT", ""), KT_V_FINAL, KT_KMS_R_CIPHERTEXT);
    judged(200, "{\"Plaintext\":\"" WRAPPED "\"}", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"KeyId\":\"" ARN "\",\"Plaintext\":5}", KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"KeyId\":\"" ARN "\"}", KT_V_FAULT, KT_KMS_R_REPLY);
    static const char *const garbage[] = {
        "", "{", "[]", "null", "\"x\"", "{\"Plaintext\":", "\xff\xfe", "{\"a\":{\"a\":{\"a\":"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        judged(200, garbage[i], KT_V_FAULT, KT_KMS_R_REPLY);
}

Test(aws_messages, an_alias_may_answer_with_any_key)
{
    start(KT_KMS_UNWRAP, "{\"provider\":\"aws\",\"region\":\"us-east-1\",\"key\":\"alias/main\"}");
    judged(200, OPENED(OTHER, "SYMMETRIC_DEFAULT", WRAPPED), KT_V_DONE, KT_KMS_R_NONE);
}

Test(aws_messages, a_bare_key_id_must_be_in_the_arn)
{
    start(KT_KMS_UNWRAP,
          "{\"provider\":\"aws\",\"region\":\"us-east-1\",\"key\":\"1234abcd-12ab-34cd-56ef-1234567890ab\"}");
    judged(200, OPENED(ARN, "SYMMETRIC_DEFAULT", WRAPPED), KT_V_DONE, KT_KMS_R_NONE);
    judged(200, OPENED(OTHER, "SYMMETRIC_DEFAULT", WRAPPED), KT_V_FAULT, KT_KMS_R_REPLY);
}

#define MOVED(key, source)                                                                                   \
    "{\"CiphertextBlob\":\"" WRAPPED "\",\"KeyId\":\"" key "\",\"SourceKeyId\":\"" source "\"}"

Test(aws_messages, a_rewrap_must_come_from_and_go_to_the_right_keys)
{
    start(KT_KMS_REWRAP, CMK);
    kms_fixture_source(&f, "{\"provider\":\"aws\",\"region\":\"us-east-1\",\"key\":\"" OTHER "\"}");
    judged(200, MOVED(ARN, OTHER), KT_V_DONE, KT_KMS_R_NONE);
    cr_expect_eq(f.call.out_nbytes, 96);
    judged(200, MOVED(OTHER, OTHER), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, MOVED(ARN, ARN), KT_V_FAULT, KT_KMS_R_REPLY);
    judged(200, "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" ARN "\",\"SourceKeyId\":\"" OTHER "\"}",
           KT_V_FAULT, KT_KMS_R_REPLY);
}

Test(aws_messages, a_dry_run_may_end_with_its_own_error)
{
    start(KT_KMS_REWRAP_DRYRUN, CMK);
    judged(400, "{\"__type\":\"DryRunOperationException\"}", KT_V_DONE, KT_KMS_R_NONE);
    judged(400, "{\"__type\":\"AccessDeniedException\"}", KT_V_FINAL, KT_KMS_R_DENIED);
}

Test(aws_messages, the_message_names_the_cmk_and_no_control_characters)
{
    start(KT_KMS_UNWRAP, CMK);
    judged(400, "{\"__type\":\"AccessDeniedException\",\"message\":\"a\\u001b[2Jb\\n\"}", KT_V_FINAL,
           KT_KMS_R_DENIED);
    cr_expect(strstr(f.call.error.message, ARN));
    cr_expect_not(strchr(f.call.error.message, '\x1b') || strchr(f.call.error.message, '\n'));
    cr_expect_eq(f.call.error.status, KT_E_DENIED);
}
