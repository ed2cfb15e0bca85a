/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, public keys, version lists and key-encryption keys: one request each, however many calls wait. */
#include "common/clock.h"
#include "kms/loop.h"

#define MS 1000000u
#define FAILED_FOR_NS ((uint64_t)5000 * MS) /* calls that come later ask again, but not each of them */
#define RENEW_AGAIN_MS 2000

static void start(struct kt_kms_loop *loop, struct kt_asset *asset)
{
    struct kt_kms_call *fetch = &asset->fetch;
    asset->fetching = true;
    fetch->attempts = fetch->out_nbytes = 0;
    fetch->reason = KT_KMS_R_NONE;
    fetch->error.status = KT_OK;
    fetch->loop.started_ns = 0;
    fetch->loop.step = fetch->loop.faults = fetch->loop.expired = fetch->loop.garbage = 0;
    asset->cred.source = NULL;
    kt_flow_advance(loop, fetch);
}

static void refresh(struct kt_kms_loop *loop, struct kt_asset *asset)
{
    int64_t now_ms = kt_clock_utc_ms();
    if (asset->token.expires_ms == 0)
        return;
    if (now_ms + KT_TOKEN_MARGIN_MS >= asset->token.expires_ms)
        asset->state = KT_ASSET_EMPTY;
    else if (now_ms >= asset->token.refresh_ms && !asset->fetching)
        start(loop, asset);
}

enum kt_asset_state kt_asset_need(struct kt_kms_loop *loop, struct kt_asset *asset, struct kt_kms_call *call)
{
    if (asset->state == KT_ASSET_READY && asset->kind == KT_ASSET_TOKEN)
        refresh(loop, asset);
    if (asset->state == KT_ASSET_READY)
        return KT_ASSET_READY;
    if (asset->state == KT_ASSET_FAILED && kt_clock_ns() - asset->failed_ns < FAILED_FOR_NS)
        return KT_ASSET_FAILED;
    asset->state = KT_ASSET_FETCHING;
    kt_list_push(&asset->waiting, call);
    if (!asset->fetching)
        start(loop, asset);
    return KT_ASSET_FETCHING;
}

void kt_asset_expire(struct kt_asset *asset, uint32_t generation)
{
    if (asset->state == KT_ASSET_READY && asset->generation == generation)
        asset->state = KT_ASSET_EMPTY;
}

static void succeed(struct kt_asset *asset)
{
    if (asset->kind == KT_ASSET_TOKEN) {
        struct kt_token old = asset->token;
        asset->token = asset->fresh;
        asset->fresh = old;
        kt_secbuf_reset(&asset->fresh.text);
        asset->renewable = asset->token.expires_ms || asset->supplied.nbytes || asset->cred.source->rereads;
    }
    asset->generation++;
    asset->state = KT_ASSET_READY;
}

static void fail(struct kt_asset *asset)
{
    /* A token that is renewed early may go on until it expires. */
    if (asset->state == KT_ASSET_READY) {
        asset->token.refresh_ms = kt_clock_utc_ms() + RENEW_AGAIN_MS;
        return;
    }
    asset->error = asset->fetch.error;
    asset->reason = asset->fetch.reason;
    asset->failed_ns = kt_clock_ns();
    asset->state = asset->reason == KT_KMS_R_STOPPED ? KT_ASSET_EMPTY : KT_ASSET_FAILED;
}

void kt_asset_settle(struct kt_kms_loop *loop, struct kt_asset *asset)
{
    struct kt_call_list waiting = asset->waiting;
    asset->waiting = (struct kt_call_list){0};
    asset->fetching = false;
    if (asset->fetch.error.status == KT_OK)
        succeed(asset);
    else
        fail(asset);
    for (struct kt_kms_call *call; (call = kt_list_pop(&waiting));)
        kt_flow_advance(loop, call);
}

void kt_asset_cancel(struct kt_asset *asset, struct kt_call_list *out)
{
    kt_list_move(&asset->waiting, out);
    asset->fetching = false;
    if (asset->state == KT_ASSET_FETCHING)
        asset->state = KT_ASSET_EMPTY;
}
