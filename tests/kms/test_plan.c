/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "fixture.h"
#include "kms/loop.h"

static struct kt_span master_key(const char *json)
{
    bson_t *doc = kt_json_parse(kt_span_str(json));
    cr_assert(doc);
    return kt_span_of(bson_get_data(doc), doc->len);
}

#define AWS(region, more) "{\"provider\":\"aws\",\"region\":\"" region "\",\"key\":\"k\"" more "}"
#define AZURE(more) "{\"provider\":\"azure\",\"keyVaultEndpoint\":\"v.x\",\"keyName\":\"k\"" more "}"
#define KMIP(more) "{\"provider\":\"kmip\"" more "}"

Test(plan, one_call_rewraps_within_an_aws_account_and_region)
{
    struct kt_kms_account a = {.id = "aws", .kms = KT_KMS_AWS}, b = {.id = "aws:b", .kms = KT_KMS_AWS};
    struct kt_kms_account gcp = {.id = "gcp", .kms = KT_KMS_GCP};
    struct kt_span east = master_key(AWS("us-east-1", "")), west = master_key(AWS("us-west-2", ""));
    struct kt_span custom = master_key(AWS("us-east-1", ",\"endpoint\":\"h:1\""));
    cr_expect(kt_kms_can_rewrap(&a, east, &a, east));
    cr_expect(kt_kms_can_rewrap(&a, custom, &a, custom));
    cr_expect_not(kt_kms_can_rewrap(&a, east, &a, west));
    cr_expect_not(kt_kms_can_rewrap(&a, east, &a, custom));
    cr_expect_not(kt_kms_can_rewrap(&a, east, &b, east));
    cr_expect_not(kt_kms_can_rewrap(&a, east, &gcp, east));
    cr_expect_not(kt_kms_can_rewrap(&a, master_key("{\"provider\":\"aws\"}"), &a, east));
}

static const char *service(const struct kt_kms_account *account, const char *json)
{
    static char name[600];
    return kt_kms_service(account, master_key(json), name, sizeof name) ? name : "none";
}

Test(plan, cmks_share_a_service_by_account_and_address)
{
    struct kt_kms_account aws = {.id = "aws:b", .kms = KT_KMS_AWS}, kmip = {.id = "kmip", .kms = KT_KMS_KMIP};
    struct kt_kms_account azure = {.id = "azure", .kms = KT_KMS_AZURE};
    cr_expect_str_eq(service(&aws, AWS("us-east-1", "")), "aws:b|kms.us-east-1.amazonaws.com");
    cr_expect_str_eq(service(&aws, AWS("us-east-1", ",\"endpoint\":\"h:1\"")), "aws:b|h:1");
    cr_expect_str_eq(service(&azure, AZURE("")), "azure|v.x");
    cr_expect_str_eq(service(&kmip, KMIP(",\"keyId\":\"1\"")), "kmip|");
    cr_expect_str_eq(service(&kmip, KMIP(",\"keyId\":\"1\",\"endpoint\":\"h\"")), "kmip|h");
    cr_expect_str_eq(service(&aws, "{\"provider\":\"aws\"}"), "none");
    char small[8];
    cr_expect_not(kt_kms_service(&aws, master_key(AWS("us-east-1", "")), small, sizeof small));
}

static void costs(enum kt_kms kms, enum kt_kms_op op, const char *json, uint32_t each, uint32_t once)
{
    struct kt_kms_cost cost = kt_kms_cost(kms, op, master_key(json));
    cr_expect(cost.each == each && cost.once == once, "%s: %u each, %u once", json, cost.each, cost.once);
}

Test(plan, costs_of_calls)
{
    costs(KT_KMS_AWS, KT_KMS_REWRAP, AWS("r", ""), 1, 0);
    costs(KT_KMS_AWS, KT_KMS_RESOLVE, AWS("r", ""), 0, 0);
    costs(KT_KMS_AZURE, KT_KMS_WRAP, AZURE(",\"keyVersion\":\"1\""), 0, 1);
    costs(KT_KMS_AZURE, KT_KMS_UNWRAP, AZURE(",\"keyVersion\":\"1\""), 1, 0);
    costs(KT_KMS_AZURE, KT_KMS_RESOLVE, AZURE(""), 0, 1);
    costs(KT_KMS_KMIP, KT_KMS_WRAP, KMIP(",\"keyId\":\"1\""), 0, 1);
    costs(KT_KMS_KMIP, KT_KMS_WRAP, KMIP(",\"keyId\":\"1\",\"delegated\":true"), 1, 0);
    costs(KT_KMS_KMIP, KT_KMS_RESOLVE, KMIP(""), 0, 2);
    costs(KT_KMS_LOCAL, KT_KMS_WRAP, KMIP(""), 0, 0);
}

Test(cmk, documents_that_could_redirect_a_request_are_refused)
{
    static const char *const bad[] = {AWS("us/east", ""),
                                      AWS("", ""),
                                      AWS("r", ",\"endpoint\":\"h/p\""),
                                      AWS("r", ",\"endpoint\":\"u@h\""),
                                      AWS("r", ",\"endpoint\":\"h?x\""),
                                      AWS("r", ",\"endpoint\":\"h#x\""),
                                      AWS("r", ",\"endpoint\":\"h\\\\x\""),
                                      AWS("r", ",\"endpoint\":\"\""),
                                      AWS("r", ",\"endpoint\":\"a b\""),
                                      "{\"provider\":\"aws\",\"region\":\"r\",\"key\":7}",
                                      "{\"region\":\"r\",\"key\":\"k\"}",
                                      "{\"provider\":\"aws\",\"region\":\"r\",\"key\":\"a\\u0000b\"}"};
    struct kt_cmk cmk;
    struct kt_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(kt_cmk_parse(KT_KMS_AWS, master_key(bad[i]), &cmk, &err), KT_E_CONFIG, "%s", bad[i]);
    cr_expect_eq(kt_cmk_parse(KT_KMS_AZURE, master_key(AZURE(",\"keyVersion\":\"..\"")), &cmk, &err),
                 KT_E_CONFIG);
    cr_expect_eq(kt_cmk_parse(KT_KMS_AZURE, master_key(AZURE(",\"keyVersion\":\"a/b\"")), &cmk, &err),
                 KT_E_CONFIG);
    cr_expect_eq(kt_cmk_parse(KT_KMS_AWS, kt_span_of("\5\0\0", 3), &cmk, &err), KT_E_CONFIG);
    cr_expect_eq(kt_cmk_parse(KT_KMS_AWS, kt_span_of(NULL, 0), &cmk, &err), KT_E_CONFIG);
}

Test(lists, delayed_calls_come_in_order_of_time)
{
    enum { COUNT = 500 };
    static struct kt_kms_call calls[COUNT];
    struct kt_kms_loop loop = {0};
    for (size_t i = 0; i < COUNT; i++) {
        calls[i].loop.due_ns = i * 7919 % COUNT;
        cr_assert(kt_delay_add(&loop, &calls[i]));
    }
    cr_expect_eq(kt_delay_take(&loop, 0)->loop.due_ns, 0);
    cr_expect_eq(kt_delay_take(&loop, 0), NULL, "the next is not due");
    for (uint64_t i = 1; i < COUNT; i++) {
        cr_expect_eq(kt_delay_due_ns(&loop), i);
        cr_expect_eq(kt_delay_take(&loop, UINT64_MAX)->loop.due_ns, i);
    }
    cr_expect_eq(kt_delay_due_ns(&loop), UINT64_MAX);
    free(loop.delayed);
}

Test(lists, first_in_first_out_unless_pushed_to_the_front)
{
    struct kt_kms_call a = {0}, b = {0}, c = {0};
    struct kt_call_list list = {0}, other = {0};
    kt_list_push(&list, &a);
    kt_list_push(&list, &b);
    kt_list_push_front(&list, &c);
    kt_list_move(&list, &other);
    cr_expect_eq(list.first, NULL);
    cr_expect_eq(kt_list_pop(&other), &c);
    cr_expect_eq(kt_list_pop(&other), &a);
    cr_expect_eq(kt_list_pop(&other), &b);
    cr_expect_eq(kt_list_pop(&other), NULL);
    cr_expect_eq(other.count, 0);
}
