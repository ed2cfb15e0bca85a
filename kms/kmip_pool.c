/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kmip_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kt_kmip_pool *kt_kmip_pool_new(struct kt_http *http, int epoll_fd, const char *host,
                                      const struct kt_tls *tls, uint32_t connections, uint32_t timeout_ms,
                                      struct kt_secmem *secmem)
{
    struct kt_kmip_pool *pool = calloc(1, sizeof *pool + connections * sizeof(struct kt_kmip_link));
    if (!pool)
        return NULL;
    pool->http = http;
    pool->epoll_fd = epoll_fd;
    pool->timeout_ms = timeout_ms;
    pool->batch_max = KT_KMIP_BATCH_MAX;
    pool->links_count = connections;
    kt_http_allow(http, (int)connections);
    const char *bracket = strrchr(host, ']');
    bool port = strchr(bracket ? bracket : host, ':') != NULL;
    snprintf(pool->url, sizeof pool->url, "https://%s%s", host, port ? "" : ":5696");
    for (uint32_t i = 0; i < connections; i++)
        kt_kmip_link_init(&pool->links[i], pool, tls, secmem);
    return pool;
}

void kt_kmip_pool_free(struct kt_kmip_pool *pool)
{
    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->links_count; i++) {
        struct kt_kmip_link *link = &pool->links[i];
        kt_kmip_link_close(link);
        kt_secbuf_free(&link->out);
        kt_secbuf_free(&link->in);
        kt_transfer_free(pool->http, &link->connection);
    }
    kt_http_allow(pool->http, -(int)pool->links_count);
    free(pool);
}

struct kt_transfer *kt_kmip_pool_take(struct kt_kmip_pool *pool)
{
    struct kt_transfer *transfer = pool->first;
    pool->first = transfer->next;
    if (!pool->first)
        pool->last = NULL;
    pool->waiting--;
    return transfer;
}

void kt_kmip_send(struct kt_kmip_pool *pool, struct kt_transfer *transfer)
{
    transfer->next = NULL;
    if (pool->last)
        pool->last->next = transfer;
    else
        pool->first = transfer;
    pool->last = transfer;
    pool->waiting++;
}

static bool is_timed(const struct kt_kmip_link *link)
{
    return link->state == LINK_CONNECTING || link->state == LINK_SENDING || link->state == LINK_RECEIVING;
}

static void expire(struct kt_kmip_link *link)
{
    if (link->state == LINK_CONNECTING)
        kt_kmip_link_unreachable(link, KT_KMS_R_NETWORK, "no connection in time");
    else
        kt_kmip_link_fail(link, KT_KMS_R_NETWORK, "no reply in time");
}

void kt_kmip_pump(struct kt_kmip_pool *pool, uint64_t now_ns)
{
    size_t open = 0, connecting = 0;
    for (uint32_t i = 0; i < pool->links_count; i++) {
        struct kt_kmip_link *link = &pool->links[i];
        if (is_timed(link) && now_ns >= link->due_ns)
            expire(link);
        open += link->state == LINK_IDLE;
        connecting += link->state == LINK_CONNECTING;
    }
    for (uint32_t i = 0; i < pool->links_count && pool->first; i++)
        if (pool->links[i].state == LINK_IDLE)
            kt_kmip_link_begin(&pool->links[i], (pool->waiting + open - 1) / (open ? open : 1), now_ns);
    /* One more connection at a time while requests wait: batches may do without. */
    bool grow = connecting == 0 && (now_ns >= pool->grow_ns || !kt_kmip_pool_is_up(pool));
    for (uint32_t i = 0; i < pool->links_count && pool->first && grow; i++)
        if (pool->links[i].state == LINK_DOWN) {
            kt_kmip_link_connect(&pool->links[i], now_ns);
            grow = false;
        }
}

uint64_t kt_kmip_due_ns(const struct kt_kmip_pool *pool)
{
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < pool->links_count; i++) {
        const struct kt_kmip_link *link = &pool->links[i];
        if (is_timed(link) && link->due_ns < due_ns)
            due_ns = link->due_ns;
    }
    return due_ns;
}

uint32_t kt_kmip_batched(const struct kt_kmip_pool *pool)
{
    return pool->batched;
}
