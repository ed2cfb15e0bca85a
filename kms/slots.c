/* SPDX-License-Identifier: Apache-2.0 */
/* Requests under way, and what carries them. */
#include <stdlib.h>

#include "common/clock.h"
#include "kms/loop.h"

#define KMIP_LINKS 16u
#define METADATA_MS 2000u
#define MS 1000000u
#define GRACE_NS ((uint64_t)2000 * MS)
#define LOOK_NS ((uint64_t)500 * MS)

void kt_slot_free(struct kt_slot *slot)
{
    kt_exchange_reset(&slot->transfer.x);
    slot->call = NULL;
    slot->next_free = slot->loop->free_slots;
    slot->loop->free_slots = slot;
}

struct kt_slot *kt_slot_take(struct kt_kms_loop *loop, void (*finished)(struct kt_transfer *transfer))
{
    struct kt_slot *slot = loop->free_slots;
    if (slot) {
        loop->free_slots = slot->next_free;
        return slot;
    }
    if (loop->slots_count == loop->slots_max || !(slot = calloc(1, sizeof *slot)))
        return NULL;
    slot->loop = loop;
    slot->transfer.finished = finished;
    kt_exchange_init(&slot->transfer.x, loop->options.secmem);
    loop->slots[loop->slots_count++] = slot;
    return slot;
}

void kt_slots_free(struct kt_kms_loop *loop)
{
    for (uint32_t i = 0; i < loop->slots_count; i++) {
        kt_transfer_free(loop->http, &loop->slots[i]->transfer);
        free(loop->slots[i]);
    }
    loop->slots_count = 0;
    loop->free_slots = NULL;
}

static struct kt_kmip_pool *pool_of(struct kt_kms_loop *loop, struct kt_bucket *bucket,
                                    struct kt_account *account, const struct kt_cmk *cmk)
{
    if (!bucket->pool) {
        uint32_t links = loop->options.concurrency < KMIP_LINKS ? loop->options.concurrency : KMIP_LINKS;
        bucket->pool = kt_kmip_pool_new(loop->http, loop->epoll_fd, kt_account_endpoint(account, cmk),
                                        &account->tls, links, loop->options.attempt_ms, loop->options.secmem);
    }
    return bucket->pool;
}

bool kt_slot_send(struct kt_kms_loop *loop, struct kt_slot *slot, struct kt_account *account,
                  const struct kt_cmk *cmk)
{
    bool kmip = cmk->kms == KT_KMS_KMIP;
    struct kt_kmip_pool *pool = kmip ? pool_of(loop, slot->bucket, account, cmk) : NULL;
    slot->transfer.tls = &account->tls;
    slot->transfer.timeout_ms = slot->transfer.x.metadata ? METADATA_MS : loop->options.attempt_ms;
    slot->sent_ns = kt_clock_ns();
    if (kmip && pool)
        kt_kmip_send(pool, &slot->transfer);
    return kmip ? pool != NULL : kt_http_send(loop->http, &slot->transfer);
}

/* KMIP's requests are late with the link that carries them. */
static bool is_late(const struct kt_slot *slot, uint64_t now_ns)
{
    uint64_t limit_ns = (uint64_t)slot->transfer.timeout_ms * MS + GRACE_NS;
    return slot->call && !slot->bucket->pool && now_ns - slot->sent_ns >= limit_ns;
}

static void expire(struct kt_http *http, struct kt_transfer *transfer)
{
    kt_http_drop(http, transfer);
    transfer->x.status = 0;
    kt_http_problem(transfer, CURLE_OPERATION_TIMEDOUT);
    transfer->finished(transfer);
}

uint64_t kt_slots_expire(struct kt_kms_loop *loop, uint64_t now_ns)
{
    if (now_ns >= loop->look_ns) {
        loop->look_ns = now_ns + LOOK_NS;
        for (uint32_t i = 0; i < loop->slots_count; i++)
            if (is_late(loop->slots[i], now_ns))
                expire(loop->http, &loop->slots[i]->transfer);
    }
    return loop->stats.in_flight ? loop->look_ns : UINT64_MAX;
}

void kt_slots_drop(struct kt_kms_loop *loop, struct kt_call_list *out)
{
    for (struct kt_bucket *b = loop->buckets; b; b = b->next) {
        kt_kmip_pool_free(b->pool);
        b->pool = NULL;
        b->pace.in_flight = 0;
        kt_list_move(&b->queue, out);
    }
    for (uint32_t i = 0; i < loop->slots_count; i++) {
        struct kt_slot *slot = loop->slots[i];
        if (!slot->call)
            continue;
        kt_http_drop(loop->http, &slot->transfer);
        kt_list_push(out, slot->call);
        kt_slot_free(slot);
    }
    pthread_mutex_lock(&loop->lock);
    loop->stats.in_flight = 0;
    pthread_mutex_unlock(&loop->lock);
}
