/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kmip_link.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "kms/kmip.h"
#include "kms/ttlv.h"

#define MS 1000000u
#define GROW_AGAIN_MS 5000u
#define GRACE_MS 2000u /* libcurl ends a connection attempt itself, once it has begun it */

static void on_ready(struct kt_poll_source *source, uint32_t events);
static void on_connected(struct kt_transfer *connection);

void kt_kmip_link_init(struct kt_kmip_link *link, struct kt_kmip_pool *pool, const struct kt_tls *tls,
                       struct kt_secmem *secmem)
{
    link->source.ready = on_ready;
    link->pool = pool;
    link->connection =
        (struct kt_transfer){.tls = tls, .timeout_ms = pool->timeout_ms, .finished = on_connected};
    kt_exchange_init(&link->connection.x, secmem);
    kt_secbuf_init(&link->out, secmem);
    kt_secbuf_init(&link->in, secmem);
}

static void watch(struct kt_kmip_link *link, int action, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &link->source};
    epoll_ctl(link->pool->epoll_fd, action, link->fd, &event);
}

void kt_kmip_link_close(struct kt_kmip_link *link)
{
    if (link->state > LINK_CONNECTING)
        watch(link, EPOLL_CTL_DEL, 0);
    if (link->state != LINK_DOWN)
        kt_http_drop(link->pool->http, &link->connection);
    kt_secbuf_reset(&link->out);
    kt_secbuf_reset(&link->in);
    link->state = LINK_DOWN;
}

static void give_problem(struct kt_transfer *transfer, enum kt_kms_reason reason, const char *problem)
{
    transfer->x.status = 0;
    transfer->x.problem_reason = reason;
    snprintf(transfer->x.problem, sizeof transfer->x.problem, "%s", problem);
    kt_secbuf_reset(&transfer->x.reply);
    transfer->finished(transfer);
}

void kt_kmip_link_fail(struct kt_kmip_link *link, enum kt_kms_reason reason, const char *problem)
{
    size_t count = link->count;
    /* A server that breaks off over its first batch may not know batches. */
    if (count > 1 && link->pool->batched < 2)
        link->pool->batch_max = 1;
    link->count = 0;
    kt_kmip_link_close(link);
    for (size_t i = 0; i < count; i++)
        give_problem(link->items[i], reason, problem);
}

bool kt_kmip_pool_is_up(const struct kt_kmip_pool *pool)
{
    for (uint32_t i = 0; i < pool->links_count; i++)
        if (pool->links[i].state >= LINK_IDLE)
            return true;
    return false;
}

void kt_kmip_link_unreachable(struct kt_kmip_link *link, enum kt_kms_reason reason, const char *problem)
{
    struct kt_kmip_pool *pool = link->pool;
    kt_kmip_link_close(link);
    /* A server that takes no more connections still answers on those that it has. */
    if (kt_kmip_pool_is_up(pool)) {
        pool->grow_ns = kt_clock_ns() + (uint64_t)GROW_AGAIN_MS * MS;
        return;
    }
    /* No connection, no service: what waits hears of it, and is repeated or given up by its owner. */
    for (size_t n = pool->waiting; n > 0 && pool->first; n--)
        give_problem(kt_kmip_pool_take(pool), reason, problem);
}

static void on_connected(struct kt_transfer *connection)
{
    struct kt_kmip_link *link =
        (struct kt_kmip_link *)((char *)connection - offsetof(struct kt_kmip_link, connection));
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (connection->x.problem_reason == KT_KMS_R_NONE)
        curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &fd);
    if (fd != CURL_SOCKET_BAD) {
        link->fd = fd;
        link->state = LINK_IDLE;
        watch(link, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
        return;
    }
    enum kt_kms_reason reason =
        connection->x.problem_reason ? connection->x.problem_reason : KT_KMS_R_NETWORK;
    kt_kmip_link_unreachable(link, reason, connection->x.problem);
}

static void deliver(struct kt_kmip_link *link, struct kt_transfer *transfer, struct kt_span item)
{
    struct kt_kmip_pool *pool = link->pool;
    if (link->count > 1 && item.data && kt_kmip_refuses_batch(item)) {
        pool->batch_max = 1;
        kt_kmip_send(pool, transfer);
        return;
    }
    kt_secbuf_reset(&transfer->x.reply);
    kt_secbuf_span(&transfer->x.reply, item);
    if (!item.data || transfer->x.reply.failed) {
        give_problem(transfer, KT_KMS_R_NETWORK, "the reply leaves this request out");
        return;
    }
    transfer->x.status = 200;
    transfer->finished(transfer);
}

static void received(struct kt_kmip_link *link)
{
    struct kt_span items[KT_KMIP_BATCH_MAX];
    if (!kt_kmip_unframe(kt_secbuf_get(&link->in), items, link->count)) {
        kt_kmip_link_fail(link, KT_KMS_R_NETWORK, "the reply is no KMIP message");
        return;
    }
    size_t count = link->count;
    bool taken = !items[0].data || !kt_kmip_refuses_batch(items[0]);
    if (taken && count > link->pool->batched)
        link->pool->batched = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        deliver(link, link->items[i], items[i]);
    link->count = 0;
    kt_secbuf_reset(&link->in);
    kt_secbuf_reset(&link->out);
    link->state = LINK_IDLE;
    watch(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
}

/* Bytes of the message that is coming in; 0: garbage. */
static size_t expected(const struct kt_kmip_link *link)
{
    if (link->in.nbytes < 8)
        return 8;
    size_t nbytes = kt_ttlv_message_nbytes(link->in.data);
    return nbytes > KT_KMS_REPLY_MAX ? 0 : nbytes;
}

static void receive(struct kt_kmip_link *link)
{
    for (;;) {
        size_t want = expected(link), n = 0;
        if (want == 0) {
            kt_kmip_link_fail(link, KT_KMS_R_NETWORK, "the reply is no KMIP message or too long");
            return;
        }
        if (want == link->in.nbytes) {
            received(link);
            return;
        }
        if (!kt_secbuf_reserve(&link->in, want - link->in.nbytes)) {
            kt_kmip_link_fail(link, KT_KMS_R_NETWORK, "locked memory ran out");
            return;
        }
        CURLcode code = curl_easy_recv(link->connection.easy, link->in.data + link->in.nbytes,
                                       want - link->in.nbytes, &n);
        if (code == CURLE_AGAIN)
            return;
        if (code != CURLE_OK || n == 0) {
            kt_http_problem(&link->connection, code == CURLE_OK ? CURLE_GOT_NOTHING : code);
            kt_kmip_link_fail(link, link->connection.x.problem_reason, link->connection.x.problem);
            return;
        }
        link->in.nbytes += n;
    }
}

static void send_more(struct kt_kmip_link *link)
{
    while (link->sent < link->out.nbytes) {
        size_t n = 0;
        CURLcode code = curl_easy_send(link->connection.easy, link->out.data + link->sent,
                                       link->out.nbytes - link->sent, &n);
        if (code == CURLE_AGAIN)
            return;
        if (code != CURLE_OK) {
            kt_http_problem(&link->connection, code);
            kt_kmip_link_fail(link, link->connection.x.problem_reason, link->connection.x.problem);
            return;
        }
        link->sent += n;
    }
    link->state = LINK_RECEIVING;
    watch(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
}

static void on_ready(struct kt_poll_source *source, uint32_t events)
{
    struct kt_kmip_link *link = (struct kt_kmip_link *)source;
    (void)events;
    if (link->state == LINK_SENDING) {
        send_more(link);
    } else if (link->state == LINK_RECEIVING) {
        receive(link);
    } else if (link->state == LINK_IDLE) {
        /* Session tickets come unasked; anything else means that the server has hung up. */
        uint8_t byte;
        size_t n;
        if (curl_easy_recv(link->connection.easy, &byte, 1, &n) != CURLE_AGAIN)
            kt_kmip_link_close(link);
    }
}

/* As many as are alike and fit, shared among the connections that could carry them. */
static void fill(struct kt_kmip_link *link, size_t share)
{
    struct kt_kmip_pool *pool = link->pool;
    struct kt_span items[KT_KMIP_BATCH_MAX];
    uint32_t minor = pool->first->x.kmip_minor;
    size_t most = share < pool->batch_max ? share : pool->batch_max;
    link->count = 0;
    while (pool->first && pool->first->x.kmip_minor == minor && link->count < most) {
        link->items[link->count] = kt_kmip_pool_take(pool);
        items[link->count] = kt_secbuf_get(&link->items[link->count]->x.body);
        link->count++;
    }
    kt_kmip_frame(&link->out, minor, items, link->count);
}

void kt_kmip_link_begin(struct kt_kmip_link *link, size_t share, uint64_t now_ns)
{
    fill(link, share);
    link->sent = 0;
    link->due_ns = now_ns + (uint64_t)link->pool->timeout_ms * MS;
    link->state = LINK_SENDING;
    watch(link, EPOLL_CTL_MOD, EPOLLOUT);
    if (link->out.failed)
        kt_kmip_link_fail(link, KT_KMS_R_NETWORK, "locked memory ran out");
    else
        send_more(link);
}

void kt_kmip_link_connect(struct kt_kmip_link *link, uint64_t now_ns)
{
    struct kt_kmip_pool *pool = link->pool;
    kt_exchange_reset(&link->connection.x);
    link->state = LINK_CONNECTING;
    link->due_ns = now_ns + ((uint64_t)pool->timeout_ms + GRACE_MS) * MS;
    if (!kt_http_connect(pool->http, &link->connection, pool->url))
        link->state = LINK_DOWN;
}
