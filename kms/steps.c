/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/rand.h>
#include <stdio.h>

#include "common/clock.h"
#include "kms/aws.h"
#include "kms/azure.h"
#include "kms/gcp.h"
#include "kms/kmip.h"
#include "kms/loop.h"

static enum kt_verdict check_op(struct kt_kms_call *call, const struct kt_cmk *cmk)
{
    bool rewrap = call->op == KT_KMS_REWRAP || call->op == KT_KMS_REWRAP_DRYRUN;
    if (rewrap && cmk->kms != KT_KMS_AWS)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "this provider cannot rewrap in one call");
    if (call->op == KT_KMS_WRAP && call->in.nbytes != KT_KMS_DEK_NBYTES)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "a data encryption key has 96 bytes");
    if ((call->op == KT_KMS_UNWRAP || rewrap) &&
        (call->in.nbytes < KT_KMS_DEK_NBYTES || call->in.nbytes > KT_KMS_OUT_MAX))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT,
                              "keyMaterial of %zu bytes is no wrapped key", call->in.nbytes);
    if (call->op == KT_KMS_WRAP && cmk->kms == KT_KMS_AZURE && !cmk->version)
        return kt_verdict_say(
            call, KT_V_FINAL, KT_KMS_R_CONFIG,
            "without keyVersion a wrap uses the current version and no longer opens once a new one "
            "is made; name the keyVersion");
    if (call->op == KT_KMS_WRAP && cmk->kms == KT_KMS_KMIP && !cmk->key_id)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the masterKey lacks its keyId");
    return KT_V_SEND;
}

enum kt_verdict kt_step_check(struct kt_kms_call *call, struct kt_account *account, struct kt_cmk *cmk)
{
    *cmk = (struct kt_cmk){.kms = account->config->kms};
    if (account->bad.status != KT_OK) {
        call->error = account->bad;
        call->reason = KT_KMS_R_CONFIG;
        return KT_V_FINAL;
    }
    if ((int)call->op == KT_KMS_I_TOKEN)
        return KT_V_SEND;
    if (cmk->kms == KT_KMS_LOCAL || kt_cmk_parse(cmk->kms, call->master_key, cmk, &call->error) != KT_OK) {
        call->reason = KT_KMS_R_CONFIG;
        call->error.status = KT_E_CONFIG;
        return KT_V_FINAL;
    }
    return kt_call_internal(call) ? KT_V_SEND : check_op(call, cmk);
}

bool kt_step_bucket(struct kt_kms_call *call, struct kt_account *account, const struct kt_cmk *cmk, char *out,
                    size_t nbytes)
{
    char host[512];
    const char *id = account->config->id;
    int n;
    if ((int)call->op == KT_KMS_I_TOKEN)
        n = snprintf(out, nbytes, "%s|token", id);
    else if (cmk->kms == KT_KMS_KMIP)
        n = snprintf(out, nbytes, "%s|%s", id, kt_account_endpoint(account, cmk));
    else if (!kt_cmk_host(cmk, host, sizeof host))
        return false;
    else
        n = snprintf(out, nbytes, "%s|%s|%s", id, host, cmk->project ? cmk->project : "");
    return n > 0 && (size_t)n < nbytes;
}

static enum kt_verdict pass_through(struct kt_kms_call *call)
{
    if (call->master_key.nbytes > call->out_capacity)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the masterKey is too long");
    memcpy(call->out, call->master_key.data, call->master_key.nbytes);
    call->out_nbytes = (uint32_t)call->master_key.nbytes;
    return KT_V_DONE;
}

enum kt_verdict kt_step_no_memory(struct kt_kms_call *call)
{
    call->reason = KT_KMS_R_NETWORK;
    kt_fail(&call->error, KT_E_NOMEM, "memory ran out");
    return KT_V_FINAL;
}

/* KT_V_DONE: ready. */
static enum kt_verdict need(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_account *account,
                            enum kt_asset_kind kind, const char *name, struct kt_asset **asset)
{
    *asset = kt_loop_asset(loop, kind, account, name, call->master_key);
    if (!*asset)
        return kt_step_no_memory(call);
    switch (kt_asset_need(loop, *asset, call)) {
    case KT_ASSET_READY:
        return KT_V_DONE;
    case KT_ASSET_FAILED:
        call->error = (*asset)->error;
        call->reason = (*asset)->reason;
        return KT_V_FINAL;
    default:
        return KT_V_NEXT;
    }
}

const char *kt_step_version_at(const struct kt_asset *versions, uint32_t index)
{
    const char *at = (const char *)versions->versions.data, *end = at + versions->versions.nbytes;
    for (; at < end && index > 0; index--)
        at += strlen(at) + 1;
    return at < end ? at : NULL;
}

/* Step 0 of a versionless unwrap asks for the current version, which may be disabled by now, step n for the
 * n-th of the list of those that are not. */
static enum kt_verdict azure_unwrap(struct kt_kms_loop *loop, struct kt_kms_call *call,
                                    struct kt_account *account, const struct kt_cmk *cmk)
{
    char name[900];
    struct kt_asset *asset;
    if (cmk->version || call->loop.step == 0)
        return KT_V_SEND;
    struct kt_error refused = call->error;
    snprintf(name, sizeof name, "%s/%s", cmk->vault, cmk->name);
    enum kt_verdict verdict = need(loop, call, account, KT_ASSET_AZURE_VERSIONS, name, &asset);
    if (verdict != KT_V_DONE)
        return verdict;
    if (kt_step_version_at(asset, call->loop.step - 1))
        return KT_V_SEND;
    call->error = refused;
    if (call->reason == KT_KMS_R_DISABLED)
        return KT_V_FINAL;
    return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT,
                          "no enabled version of this key opens it (the masterKey has no keyVersion, %u were "
                          "tried)",
                          call->loop.step - 1);
}

static enum kt_verdict azure_local(struct kt_kms_loop *loop, struct kt_kms_call *call,
                                   struct kt_account *account, const struct kt_cmk *cmk)
{
    char name[1300];
    struct kt_asset *asset;
    if (call->op == KT_KMS_RESOLVE)
        return cmk->version ? pass_through(call) : KT_V_SEND;
    if (call->op == KT_KMS_UNWRAP)
        return azure_unwrap(loop, call, account, cmk);
    snprintf(name, sizeof name, "%s/%s/%s", cmk->vault, cmk->name, cmk->version);
    enum kt_verdict verdict = need(loop, call, account, KT_ASSET_AZURE_KEY, name, &asset);
    /* Who may wrap but not read the key lets the vault wrap. */
    if (verdict == KT_V_FINAL && call->reason == KT_KMS_R_DENIED)
        return KT_V_SEND;
    return verdict == KT_V_DONE ? kt_azure_wrap(call, asset->public_key) : verdict;
}

static enum kt_verdict kmip_wrap(struct kt_kms_call *call, const uint8_t *kek)
{
    uint8_t iv[16];
    if (call->op == KT_KMS_UNWRAP) {
        if (call->in.nbytes != KT_KMIP_WRAPPED_NBYTES || call->out_capacity < KT_KMS_DEK_NBYTES ||
            !kt_kek_open(kek, call->in.data, call->out))
            return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CIPHERTEXT,
                                  "this key does not open the wrapped DEK");
        call->out_nbytes = KT_KMS_DEK_NBYTES;
        return KT_V_DONE;
    }
    if (call->out_capacity < KT_KMIP_WRAPPED_NBYTES || RAND_bytes(iv, sizeof iv) != 1 ||
        !kt_kek_seal(kek, iv, call->in.data, call->out))
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "OpenSSL cannot wrap");
    call->out_nbytes = KT_KMIP_WRAPPED_NBYTES;
    return KT_V_DONE;
}

static enum kt_verdict kmip_local(struct kt_kms_loop *loop, struct kt_kms_call *call,
                                  struct kt_account *account, const struct kt_cmk *cmk)
{
    char name[1000];
    struct kt_asset *asset;
    const char *endpoint = kt_account_endpoint(account, cmk);
    if (!endpoint)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG,
                              "neither masterKey nor kmsProviders has an endpoint");
    if (call->op == KT_KMS_RESOLVE)
        return cmk->key_id ? pass_through(call) : KT_V_SEND;
    if (!cmk->key_id)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CONFIG, "the masterKey lacks its keyId");
    if (cmk->delegated)
        return KT_V_SEND;
    snprintf(name, sizeof name, "%s/%s", endpoint, cmk->key_id);
    enum kt_verdict verdict = need(loop, call, account, KT_ASSET_KMIP_KEK, name, &asset);
    return verdict == KT_V_DONE ? kmip_wrap(call, asset->kek) : verdict;
}

enum kt_verdict kt_step_local(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_account *account,
                              const struct kt_cmk *cmk)
{
    if (kt_call_internal(call))
        return KT_V_SEND;
    if (cmk->kms == KT_KMS_AZURE)
        return azure_local(loop, call, account, cmk);
    if (cmk->kms == KT_KMS_KMIP)
        return kmip_local(loop, call, account, cmk);
    return call->op == KT_KMS_RESOLVE ? pass_through(call) : KT_V_SEND;
}

struct kt_asset *kt_step_token(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_account *account,
                               const struct kt_cmk *cmk, bool *none)
{
    char audience[300] = "";
    *none = (int)call->op == KT_KMS_I_TOKEN || cmk->kms == KT_KMS_KMIP;
    if (*none)
        return NULL;
    bool ok = cmk->kms == KT_KMS_AZURE ? kt_azure_scope(cmk, audience, sizeof audience)
              : cmk->kms == KT_KMS_GCP ? kt_gcp_scope(cmk, audience, sizeof audience)
                                       : true;
    struct kt_asset *token =
        ok ? kt_loop_asset(loop, KT_ASSET_TOKEN, account, audience, kt_span_of(NULL, 0)) : NULL;
    if (token)
        memcpy(token->cred.audience, audience, sizeof audience);
    return token;
}
