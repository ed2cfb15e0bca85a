/* SPDX-License-Identifier: Apache-2.0 */
/* A job has a handful of accounts, buckets and assets: lists are searched in order. */
#include <stdlib.h>

#include "common/clock.h"
#include "kms/loop.h"

static void take_endpoint(struct kt_account *account, const bson_t *credentials)
{
    struct kt_span host;
    if (!kt_doc_host(credentials, "endpoint", &host) || host.nbytes >= sizeof account->endpoint) {
        account->bad.status =
            kt_fail(&account->bad, KT_E_CONFIG, "kmsProviders: \"%s\": endpoint is no host[:port]",
                    account->config->id);
        return;
    }
    memcpy(account->endpoint, host.data, host.nbytes);
}

struct kt_account *kt_loop_account(struct kt_kms_loop *loop, const struct kt_kms_account *config)
{
    for (struct kt_account *a = loop->accounts; a; a = a->next)
        if (a->config == config)
            return a;
    struct kt_account *account = calloc(1, sizeof *account);
    if (!account)
        return NULL;
    account->config = config;
    account->bad.status =
        kt_tls_init(&account->tls, config->id, config->tls_options, loop->options.secmem, &account->bad);
    bson_t view;
    if (account->bad.status == KT_OK && !kt_doc_view(config->credentials, &view))
        account->bad.status =
            kt_fail(&account->bad, KT_E_CONFIG, "kmsProviders: \"%s\" is no document", config->id);
    if (account->bad.status == KT_OK && config->kms == KT_KMS_KMIP)
        take_endpoint(account, &view);
    account->next = loop->accounts;
    loop->accounts = account;
    return account;
}

const char *kt_account_endpoint(const struct kt_account *account, const struct kt_cmk *cmk)
{
    if (cmk->endpoint)
        return cmk->endpoint;
    return account->endpoint[0] ? account->endpoint : NULL;
}

struct kt_bucket *kt_loop_bucket(struct kt_kms_loop *loop, const char *name, double rate)
{
    for (struct kt_bucket *b = loop->buckets; b; b = b->next)
        if (strcmp(b->name, name) == 0)
            return b;
    size_t n = strlen(name) + 1;
    struct kt_bucket *bucket = calloc(1, sizeof *bucket + n);
    if (!bucket)
        return NULL;
    memcpy(bucket->name, name, n);
    kt_pace_init(&bucket->pace, loop->options.concurrency, rate, kt_clock_ns());
    bucket->next = loop->buckets;
    loop->buckets = bucket;
    return bucket;
}

struct kt_asset *kt_loop_asset(struct kt_kms_loop *loop, enum kt_asset_kind kind, struct kt_account *account,
                               const char *name, struct kt_span master_key)
{
    for (struct kt_asset *a = loop->assets; a; a = a->next)
        if (a->kind == kind && a->account == account && strcmp(a->name, name) == 0)
            return a;
    size_t n = strlen(name) + 1;
    struct kt_secmem *secmem = loop->options.secmem;
    struct kt_asset *asset = calloc(1, sizeof *asset + n);
    if (!asset || kt_buf_append(&asset->master_key, master_key.data, master_key.nbytes) != KT_OK) {
        free(asset);
        return NULL;
    }
    memcpy(asset->name, name, n);
    asset->kind = kind;
    asset->account = account;
    asset->fetch.op = (enum kt_kms_op)(KT_KMS_I_TOKEN + (int)kind);
    asset->fetch.account = account->config;
    asset->fetch.loop.asset = asset;
    asset->fetch.master_key = kt_span_of(asset->master_key.data, asset->master_key.nbytes);
    kt_secbuf_init(&asset->token.text, secmem);
    kt_secbuf_init(&asset->fresh.text, secmem);
    kt_secbuf_init(&asset->supplied, secmem);
    kt_secbuf_init(&asset->cred.scratch, secmem);
    kt_secbuf_init(&asset->cred.base.text, secmem);
    kt_secbuf_init(&asset->versions, secmem);
    kt_secbuf_init(&asset->link, secmem);
    asset->cred.kms = account->config->kms;
    asset->cred.env = getenv;
    asset->next = loop->assets;
    loop->assets = asset;
    return asset;
}

static void free_asset(struct kt_asset *asset, struct kt_secmem *secmem)
{
    kt_buf_free(&asset->master_key);
    kt_secbuf_free(&asset->token.text);
    kt_secbuf_free(&asset->fresh.text);
    kt_secbuf_free(&asset->supplied);
    kt_secbuf_free(&asset->cred.scratch);
    kt_secbuf_free(&asset->cred.base.text);
    kt_secbuf_free(&asset->versions);
    kt_secbuf_free(&asset->link);
    EVP_PKEY_free(asset->public_key);
    kt_secmem_free(secmem, asset->kek);
    free(asset);
}

void kt_loop_free_registry(struct kt_kms_loop *loop)
{
    for (struct kt_account *a; (a = loop->accounts);) {
        loop->accounts = a->next;
        kt_tls_free(&a->tls);
        free(a);
    }
    for (struct kt_bucket *b; (b = loop->buckets);) {
        loop->buckets = b->next;
        kt_kmip_pool_free(b->pool);
        free(b);
    }
    for (struct kt_asset *a; (a = loop->assets);) {
        loop->assets = a->next;
        free_asset(a, loop->options.secmem);
    }
}
