/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as an HTTP reply: the first says the status, the rest is the body; judged by every provider and every
 * source of credentials. */
#include "fuzz_kms.h"
#include "kms/aws.h"
#include "kms/azure.h"
#include "kms/credentials.h"
#include "kms/gcp.h"

#define AWS "{\"provider\":\"aws\",\"region\":\"r\",\"key\":\"k\"}"
#define AZURE "{\"provider\":\"azure\",\"keyVaultEndpoint\":\"v.x\",\"keyName\":\"k\"}"
#define GCP                                                                                                  \
    "{\"provider\":\"gcp\",\"projectId\":\"p\",\"location\":\"l\",\"keyRing\":\"r\",\"keyName\":\"k\"}"

static struct fuzz_kms f;

static void azure(void)
{
    EVP_PKEY *key;
    struct kt_secbuf versions, link;
    kt_secbuf_init(&versions, f.secmem);
    kt_secbuf_init(&link, f.secmem);
    kt_azure_parse(&f.call, &f.cmk, NULL, &f.x);
    kt_azure_parse_resolve(&f.call, &f.cmk, &f.x);
    kt_azure_parse_key(&f.call, &f.cmk, &f.x, &key);
    EVP_PKEY_free(key);
    kt_azure_parse_versions(&f.call, &f.cmk, &f.x, &versions, &link);
    kt_secbuf_free(&versions);
    kt_secbuf_free(&link);
}

static void credentials(enum kt_kms kms, const struct kt_cred_source *chain)
{
    struct kt_cred cred = {.kms = kms, .now_ms = 1700000000000};
    struct kt_token token = {0};
    kt_secbuf_init(&cred.scratch, f.secmem);
    kt_secbuf_init(&token.text, f.secmem);
    for (; chain->name; chain++)
        for (cred.step = 0; chain->parse && cred.step < 3; cred.step++) {
            uint32_t step = cred.step;
            chain->parse(&cred, &f.call, &f.x, &token);
            cred.step = step;
        }
    kt_secbuf_free(&cred.scratch);
    kt_secbuf_free(&token.text);
}

static void judge(enum kt_kms kms, const char *master_key, const uint8_t *data, size_t nbytes)
{
    static const long statuses[] = {200, 200, 200, 400, 401, 403, 404, 429, 500, 302};
    fuzz_kms_open(&f, kms, master_key);
    fuzz_kms_reply(&f, statuses[data[0] % 10], data + 1, nbytes - 1);
    for (enum kt_kms_op op = KT_KMS_UNWRAP; op <= KT_KMS_REWRAP_DRYRUN; op++) {
        f.call.op = op;
        if (kms == KT_KMS_AWS)
            kt_aws_parse(&f.call, &f.cmk, &f.x);
        else if (kms == KT_KMS_GCP)
            kt_gcp_parse(&f.call, &f.cmk, &f.x);
        else
            azure();
    }
    credentials(kms, kms == KT_KMS_AWS ? kt_cred_aws : kms == KT_KMS_GCP ? kt_cred_gcp : kt_cred_azure);
    fuzz_kms_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    if (nbytes < 1 || nbytes > KT_KMS_REPLY_MAX)
        return 0;
    judge(KT_KMS_AWS, AWS, data, nbytes);
    judge(KT_KMS_AZURE, AZURE, data, nbytes);
    judge(KT_KMS_GCP, GCP, data, nbytes);
    return 0;
}
