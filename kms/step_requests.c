/* SPDX-License-Identifier: Apache-2.0 */
/* What each operation asks for, and what it makes of replies. */
#include <openssl/rand.h>
#include <stdio.h>

#include "common/clock.h"
#include "kms/aws.h"
#include "kms/azure.h"
#include "kms/gcp.h"
#include "kms/kmip.h"
#include "kms/loop.h"

#define EMPTY_BSON 5 /* bytes of {} */
#define KNOCKS 3     /* at a metadata service where nobody listens */

static struct kt_asset *versions_of(struct kt_kms_loop *loop, struct kt_kms_call *call,
                                    struct kt_account *account, const struct kt_cmk *cmk)
{
    char name[900];
    snprintf(name, sizeof name, "%s/%s", cmk->vault, cmk->name);
    return kt_loop_asset(loop, KT_ASSET_AZURE_VERSIONS, account, name, call->master_key);
}

/* What the program's callback has for an empty document; KT_V_NEXT: nothing. */
static enum kt_verdict supply(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_asset *asset)
{
    const struct kt_kms_options *options = &loop->options;
    struct kt_span supplied = {0};
    asset->supplied_until_ms = 0;
    kt_secbuf_reset(&asset->supplied);
    if (!options->credentials || !options->credentials(options->credentials_context, call->account->id,
                                                       &supplied, &asset->supplied_until_ms))
        return KT_V_NEXT;
    kt_secbuf_span(&asset->supplied, supplied);
    if (asset->supplied.failed)
        return kt_cred_no_memory(call);
    if (!kt_doc_view(kt_secbuf_get(&asset->supplied), &asset->cred.document) ||
        !kt_cred_choose(&asset->cred) || !asset->cred.source->given)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS,
                              "what the program's callback supplies are no credentials for this provider");
    return KT_V_DONE;
}

/* Of the account's own document, else of the callback, else where this cloud's tools look. */
static enum kt_verdict choose_source(struct kt_kms_loop *loop, struct kt_kms_call *call,
                                     struct kt_asset *asset)
{
    struct kt_span document = asset->account->config->credentials;
    enum kt_verdict verdict = document.nbytes <= EMPTY_BSON ? supply(loop, call, asset) : KT_V_NEXT;
    if (verdict != KT_V_NEXT)
        return verdict;
    if (kt_doc_view(document, &asset->cred.document) && kt_cred_choose(&asset->cred))
        return KT_V_DONE;
    return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS, "%s",
                          kt_cred_missing_text(asset->cred.kms));
}

/* What has expired already would be fetched again at once, without end. The next try asks anew where
 * credentials come from: only a callback that is asked again can have better ones. */
static enum kt_verdict check_fresh(struct kt_kms_call *call, struct kt_asset *asset)
{
    int64_t left_ms = asset->fresh.expires_ms - asset->cred.now_ms;
    if (asset->fresh.expires_ms == 0 || left_ms > KT_TOKEN_MARGIN_MS)
        return KT_V_DONE;
    const char *name = asset->cred.source->name;
    asset->cred.source = NULL;
    return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_CREDENTIALS, "the credentials (%s) have expired already",
                          name);
}

static enum kt_verdict build_token(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_exchange *x)
{
    struct kt_asset *asset = call->loop.asset;
    struct kt_cred *cred = &asset->cred;
    enum kt_verdict verdict = cred->source ? KT_V_DONE : choose_source(loop, call, asset);
    if (verdict != KT_V_DONE)
        return verdict;
    cred->now_ms = kt_clock_utc_ms();
    verdict = cred->source->build(cred, call, x, &asset->fresh);
    if (verdict == KT_V_DONE && asset->supplied_until_ms)
        kt_token_lives(&asset->fresh, cred->now_ms, asset->supplied_until_ms - cred->now_ms);
    return verdict == KT_V_DONE ? check_fresh(call, asset) : verdict;
}

static enum kt_verdict build_new_kek(struct kt_kms_loop *loop, struct kt_kms_call *call,
                                     const struct kt_cmk *cmk, struct kt_exchange *x)
{
    uint8_t *secret = kt_secmem_alloc(loop->options.secmem, KT_KMIP_KEK_NBYTES);
    enum kt_verdict verdict = KT_V_FINAL;
    if (secret && RAND_priv_bytes(secret, KT_KMIP_KEK_NBYTES) == 1)
        verdict = kt_kmip_build_new(call, cmk, kt_span_of(secret, KT_KMIP_KEK_NBYTES), x);
    else
        kt_step_no_memory(call);
    kt_secmem_free(loop->options.secmem, secret);
    return verdict;
}

static const char *azure_version(const struct kt_kms_call *call, struct kt_asset *versions,
                                 const struct kt_cmk *cmk)
{
    return cmk->version || call->loop.step == 0 || !versions
               ? cmk->version
               : kt_step_version_at(versions, call->loop.step - 1);
}

static enum kt_verdict build_azure(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_slot *slot,
                                   const struct kt_cmk *cmk)
{
    struct kt_exchange *x = &slot->transfer.x;
    const struct kt_token *token = &slot->token->token;
    struct kt_asset *asset = call->loop.asset;
    if ((int)call->op == KT_KMS_I_AZURE_VERSIONS) {
        if (asset->link.nbytes == 0)
            kt_secbuf_reset(&asset->versions);
        return kt_azure_build_versions(call, cmk, token, &asset->link, x);
    }
    if ((int)call->op == KT_KMS_I_AZURE_KEY || call->op == KT_KMS_RESOLVE)
        return kt_azure_build_key(call, cmk, token, x);
    struct kt_asset *versions = call->loop.step ? versions_of(loop, call, slot->token->account, cmk) : NULL;
    return kt_azure_build(call, cmk, azure_version(call, versions, cmk), token, x);
}

enum kt_verdict kt_step_build(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_slot *slot,
                              const struct kt_cmk *cmk)
{
    struct kt_exchange *x = &slot->transfer.x;
    enum kt_verdict verdict;
    if ((int)call->op == KT_KMS_I_TOKEN)
        verdict = build_token(loop, call, x);
    else if (cmk->kms == KT_KMS_AWS)
        verdict = kt_aws_build(call, cmk, &slot->token->token, x);
    else if (cmk->kms == KT_KMS_GCP)
        verdict = kt_gcp_build(call, cmk, &slot->token->token, x);
    else if (cmk->kms == KT_KMS_AZURE)
        verdict = build_azure(loop, call, slot, cmk);
    else if ((int)call->op == KT_KMS_I_KMIP_KEK)
        verdict = kt_kmip_build_get(call, cmk, x);
    else if (call->op == KT_KMS_RESOLVE)
        verdict = build_new_kek(loop, call, cmk, x);
    else
        verdict = kt_kmip_build(call, cmk, x);
    if (verdict == KT_V_SEND && !kt_exchange_built(x))
        return kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK, "locked memory ran out");
    return verdict;
}

static void say_trouble(struct kt_kms_call *call, const struct kt_asset *asset, const struct kt_exchange *x)
{
    char status[40];
    snprintf(status, sizeof status, "HTTP status %ld", x->status);
    kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK, "credentials, %s: %s", asset->cred.source->name,
                   x->status ? status : x->problem);
}

static enum kt_verdict parse_token(struct kt_kms_call *call, struct kt_exchange *x)
{
    struct kt_asset *asset = call->loop.asset;
    asset->cred.now_ms = kt_clock_utc_ms();
    enum kt_verdict verdict = asset->cred.source->parse(&asset->cred, call, x, &asset->fresh);
    if (verdict == KT_V_DONE)
        return check_fresh(call, asset);
    if (verdict != KT_V_FAULT || !x->metadata)
        return verdict;
    /* Where there is no such service nobody listens; one that has trouble answers again by and by. */
    if (x->unreachable && call->loop.faults + 1 >= KNOCKS)
        return kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_CREDENTIALS, "%s (%s: %.120s)",
                              kt_cred_missing_text(asset->cred.kms), asset->cred.source->name, x->problem);
    if (x->status != 200)
        say_trouble(call, asset, x);
    return verdict;
}

static enum kt_verdict parse_azure(struct kt_kms_call *call, struct kt_slot *slot, const struct kt_cmk *cmk)
{
    const struct kt_exchange *x = &slot->transfer.x;
    struct kt_asset *asset = call->loop.asset;
    if ((int)call->op == KT_KMS_I_AZURE_VERSIONS)
        return kt_azure_parse_versions(call, cmk, x, &asset->versions, &asset->link);
    if ((int)call->op == KT_KMS_I_AZURE_KEY) {
        EVP_PKEY_free(asset->public_key);
        return kt_azure_parse_key(call, cmk, x, &asset->public_key);
    }
    if (call->op == KT_KMS_RESOLVE)
        return kt_azure_parse_resolve(call, cmk, x);
    struct kt_asset *versions =
        call->loop.step ? versions_of(slot->loop, call, slot->token->account, cmk) : NULL;
    enum kt_verdict verdict = kt_azure_parse(call, cmk, azure_version(call, versions, cmk), x);
    if (verdict == KT_V_FINAL && call->op == KT_KMS_UNWRAP && !cmk->version &&
        (call->reason == KT_KMS_R_CIPHERTEXT || call->reason == KT_KMS_R_DISABLED)) {
        call->loop.step++;
        return KT_V_NEXT;
    }
    return verdict;
}

static enum kt_verdict parse_kek(struct kt_kms_call *call, struct kt_slot *slot, const struct kt_cmk *cmk)
{
    struct kt_asset *asset = call->loop.asset;
    if (!asset->kek)
        asset->kek = kt_secmem_alloc(slot->loop->options.secmem, KT_KMIP_KEK_NBYTES);
    if (!asset->kek)
        return kt_step_no_memory(call);
    return kt_kmip_parse_get(call, cmk, &slot->transfer.x, asset->kek);
}

enum kt_verdict kt_step_parse(struct kt_kms_call *call, struct kt_slot *slot, const struct kt_cmk *cmk)
{
    struct kt_exchange *x = &slot->transfer.x;
    if ((int)call->op == KT_KMS_I_TOKEN)
        return parse_token(call, x);
    if (cmk->kms == KT_KMS_AWS)
        return kt_aws_parse(call, cmk, x);
    if (cmk->kms == KT_KMS_GCP)
        return kt_gcp_parse(call, cmk, x);
    if (cmk->kms == KT_KMS_AZURE)
        return parse_azure(call, slot, cmk);
    if ((int)call->op == KT_KMS_I_KMIP_KEK)
        return parse_kek(call, slot, cmk);
    return call->op == KT_KMS_RESOLVE ? kt_kmip_parse_new(call, cmk, x) : kt_kmip_parse(call, cmk, x);
}
