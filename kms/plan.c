/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about calls before they are made. */
#include <stdio.h>

#include "kms/cmk.h"
#include "kms/kms.h"

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool kt_kms_can_rewrap(const struct kt_kms_account *from, struct kt_span from_master_key,
                       const struct kt_kms_account *to, struct kt_span to_master_key)
{
    struct kt_cmk a, b;
    return from->kms == KT_KMS_AWS && to->kms == KT_KMS_AWS && strcmp(from->id, to->id) == 0 &&
           kt_cmk_parse(KT_KMS_AWS, from_master_key, &a, NULL) == KT_OK &&
           kt_cmk_parse(KT_KMS_AWS, to_master_key, &b, NULL) == KT_OK && same(a.region, b.region) &&
           same(a.endpoint, b.endpoint);
}

bool kt_kms_service(const struct kt_kms_account *account, struct kt_span master_key, char *out, size_t nbytes)
{
    struct kt_cmk cmk;
    char host[512];
    if (kt_cmk_parse(account->kms, master_key, &cmk, NULL) != KT_OK)
        return false;
    /* A KMIP server may be the account's alone to name. */
    bool named = kt_cmk_host(&cmk, host, sizeof host);
    int n = snprintf(out, nbytes, "%s|%s", account->id, named ? host : "");
    return n > 0 && (size_t)n < nbytes;
}

struct kt_kms_cost kt_kms_cost(enum kt_kms kms, enum kt_kms_op op, struct kt_span master_key)
{
    struct kt_cmk cmk;
    if (kms == KT_KMS_LOCAL || kt_cmk_parse(kms, master_key, &cmk, NULL) != KT_OK)
        return (struct kt_kms_cost){0};
    if (op == KT_KMS_RESOLVE) {
        uint32_t once = kms == KT_KMS_AZURE && !cmk.version ? 1 : kms == KT_KMS_KMIP && !cmk.key_id ? 2 : 0;
        return (struct kt_kms_cost){.once = once};
    }
    if (kms == KT_KMS_KMIP && !cmk.delegated)
        return (struct kt_kms_cost){.once = 1};
    if (kms == KT_KMS_AZURE && op == KT_KMS_WRAP)
        return (struct kt_kms_cost){.once = 1};
    bool versionless = kms == KT_KMS_AZURE && op == KT_KMS_UNWRAP && !cmk.version;
    return (struct kt_kms_cost){.each = 1, .at_least = versionless};
}
