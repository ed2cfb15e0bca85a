/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kmip_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "kms/kmip.h"
#include "kms/ttlv.h"

#define BATCH_MAX 32
#define MS 1000000u

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_IDLE, LINK_SENDING, LINK_RECEIVING };

struct link {
    struct kt_poll_source source;
    struct kt_kmip_pool *pool;
    struct kt_transfer connection;
    enum link_state state;
    curl_socket_t fd;
    struct kt_secbuf out, in;
    size_t sent;
    uint64_t due_ns;
    struct kt_transfer *items[BATCH_MAX];
    size_t count;
};

struct kt_kmip_pool {
    struct kt_http *http;
    int epoll_fd;
    uint32_t timeout_ms;
    char url[600];
    struct kt_transfer *first, *last; /* waiting */
    size_t waiting;
    uint32_t batch_max, batched;
    uint32_t links_count;
    struct link links[];
};

static void on_ready(struct kt_poll_source *source, uint32_t events);
static void on_connected(struct kt_transfer *connection);

struct kt_kmip_pool *kt_kmip_pool_new(struct kt_http *http, int epoll_fd, const char *host,
                                      const struct kt_tls *tls, uint32_t connections, uint32_t timeout_ms,
                                      struct kt_secmem *secmem)
{
    struct kt_kmip_pool *pool = calloc(1, sizeof *pool + connections * sizeof(struct link));
    if (!pool)
        return NULL;
    pool->http = http;
    pool->epoll_fd = epoll_fd;
    pool->timeout_ms = timeout_ms;
    pool->batch_max = BATCH_MAX;
    pool->links_count = connections;
    const char *bracket = strrchr(host, ']');
    bool port = strchr(bracket ? bracket : host, ':') != NULL;
    snprintf(pool->url, sizeof pool->url, "https://%s%s", host, port ? "" : ":5696");
    for (uint32_t i = 0; i < connections; i++) {
        struct link *link = &pool->links[i];
        link->source.ready = on_ready;
        link->pool = pool;
        link->connection =
            (struct kt_transfer){.tls = tls, .timeout_ms = timeout_ms, .finished = on_connected};
        kt_exchange_init(&link->connection.x, secmem);
        kt_secbuf_init(&link->out, secmem);
        kt_secbuf_init(&link->in, secmem);
    }
    return pool;
}

static void watch(struct link *link, int action, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &link->source};
    epoll_ctl(link->pool->epoll_fd, action, link->fd, &event);
}

static void close_link(struct link *link)
{
    if (link->state > LINK_CONNECTING)
        watch(link, EPOLL_CTL_DEL, 0);
    if (link->state != LINK_DOWN)
        kt_http_drop(link->pool->http, &link->connection);
    kt_secbuf_reset(&link->out);
    kt_secbuf_reset(&link->in);
    link->state = LINK_DOWN;
}

void kt_kmip_pool_free(struct kt_kmip_pool *pool)
{
    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->links_count; i++) {
        struct link *link = &pool->links[i];
        close_link(link);
        kt_secbuf_free(&link->out);
        kt_secbuf_free(&link->in);
        kt_transfer_free(pool->http, &link->connection);
    }
    free(pool);
}

static struct kt_transfer *take(struct kt_kmip_pool *pool)
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

static void give_problem(struct kt_transfer *transfer, enum kt_kms_reason reason, const char *problem)
{
    transfer->x.status = 0;
    transfer->x.problem_reason = reason;
    snprintf(transfer->x.problem, sizeof transfer->x.problem, "%s", problem);
    kt_secbuf_reset(&transfer->x.reply);
    transfer->finished(transfer);
}

static void fail_link(struct link *link, enum kt_kms_reason reason, const char *problem)
{
    size_t count = link->count;
    /* A server that breaks off over its first batch may not know batches. */
    if (count > 1 && link->pool->batched < 2)
        link->pool->batch_max = 1;
    link->count = 0;
    close_link(link);
    for (size_t i = 0; i < count; i++)
        give_problem(link->items[i], reason, problem);
}

static void on_connected(struct kt_transfer *connection)
{
    struct link *link = (struct link *)((char *)connection - offsetof(struct link, connection));
    struct kt_kmip_pool *pool = link->pool;
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
    close_link(link);
    /* No connection, no service: what waits hears of it, and is repeated or given up by its owner. */
    for (size_t n = pool->waiting; n > 0 && pool->first; n--)
        give_problem(take(pool), reason, connection->x.problem);
}

static void deliver(struct link *link, struct kt_transfer *transfer, struct kt_span item)
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

static void received(struct link *link)
{
    struct kt_span items[BATCH_MAX];
    if (!kt_kmip_unframe(kt_secbuf_get(&link->in), items, link->count)) {
        fail_link(link, KT_KMS_R_NETWORK, "the reply is no KMIP message");
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
static size_t expected(const struct link *link)
{
    if (link->in.nbytes < 8)
        return 8;
    size_t nbytes = kt_ttlv_message_nbytes(link->in.data);
    return nbytes > KT_KMS_REPLY_MAX ? 0 : nbytes;
}

static void receive(struct link *link)
{
    for (;;) {
        size_t want = expected(link), n = 0;
        if (want == 0) {
            fail_link(link, KT_KMS_R_NETWORK, "the reply is no KMIP message or too long");
            return;
        }
        if (want == link->in.nbytes) {
            received(link);
            return;
        }
        if (!kt_secbuf_reserve(&link->in, want - link->in.nbytes)) {
            fail_link(link, KT_KMS_R_NETWORK, "locked memory ran out");
            return;
        }
        CURLcode code = curl_easy_recv(link->connection.easy, link->in.data + link->in.nbytes,
                                       want - link->in.nbytes, &n);
        if (code == CURLE_AGAIN)
            return;
        if (code != CURLE_OK || n == 0) {
            kt_http_problem(&link->connection, code == CURLE_OK ? CURLE_GOT_NOTHING : code);
            fail_link(link, link->connection.x.problem_reason, link->connection.x.problem);
            return;
        }
        link->in.nbytes += n;
    }
}

static void send_more(struct link *link)
{
    while (link->sent < link->out.nbytes) {
        size_t n = 0;
        CURLcode code = curl_easy_send(link->connection.easy, link->out.data + link->sent,
                                       link->out.nbytes - link->sent, &n);
        if (code == CURLE_AGAIN)
            return;
        if (code != CURLE_OK) {
            kt_http_problem(&link->connection, code);
            fail_link(link, link->connection.x.problem_reason, link->connection.x.problem);
            return;
        }
        link->sent += n;
    }
    link->state = LINK_RECEIVING;
    watch(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
}

static void on_ready(struct kt_poll_source *source, uint32_t events)
{
    struct link *link = (struct link *)source;
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
            close_link(link);
    }
}

/* As many as are alike and fit, shared among the connections that could carry them. */
static void fill(struct link *link, size_t share)
{
    struct kt_kmip_pool *pool = link->pool;
    struct kt_span items[BATCH_MAX];
    uint32_t minor = pool->first->x.kmip_minor;
    size_t most = share < pool->batch_max ? share : pool->batch_max;
    link->count = 0;
    while (pool->first && pool->first->x.kmip_minor == minor && link->count < most) {
        link->items[link->count] = take(pool);
        items[link->count] = kt_secbuf_get(&link->items[link->count]->x.body);
        link->count++;
    }
    kt_kmip_frame(&link->out, minor, items, link->count);
}

static void begin(struct link *link, size_t share, uint64_t now_ns)
{
    fill(link, share);
    link->sent = 0;
    link->due_ns = now_ns + (uint64_t)link->pool->timeout_ms * MS;
    link->state = LINK_SENDING;
    watch(link, EPOLL_CTL_MOD, EPOLLOUT);
    if (link->out.failed)
        fail_link(link, KT_KMS_R_NETWORK, "locked memory ran out");
    else
        send_more(link);
}

static void connect_link(struct link *link)
{
    struct kt_kmip_pool *pool = link->pool;
    kt_exchange_reset(&link->connection.x);
    link->state = LINK_CONNECTING;
    if (!kt_http_connect(pool->http, &link->connection, pool->url))
        link->state = LINK_DOWN;
}

void kt_kmip_pump(struct kt_kmip_pool *pool, uint64_t now_ns)
{
    size_t open = 0, connecting = 0;
    for (uint32_t i = 0; i < pool->links_count; i++) {
        struct link *link = &pool->links[i];
        if ((link->state == LINK_SENDING || link->state == LINK_RECEIVING) && now_ns >= link->due_ns)
            fail_link(link, KT_KMS_R_NETWORK, "no reply in time");
        open += link->state == LINK_IDLE;
        connecting += link->state == LINK_CONNECTING;
    }
    for (uint32_t i = 0; i < pool->links_count && pool->first; i++)
        if (pool->links[i].state == LINK_IDLE)
            begin(&pool->links[i], (pool->waiting + open - 1) / (open ? open : 1), now_ns);
    /* One more connection at a time while requests wait: batches may do without. */
    for (uint32_t i = 0; i < pool->links_count && pool->first && connecting == 0; i++)
        if (pool->links[i].state == LINK_DOWN) {
            connect_link(&pool->links[i]);
            connecting++;
        }
}

uint64_t kt_kmip_due_ns(const struct kt_kmip_pool *pool)
{
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < pool->links_count; i++) {
        const struct link *link = &pool->links[i];
        if ((link->state == LINK_SENDING || link->state == LINK_RECEIVING) && link->due_ns < due_ns)
            due_ns = link->due_ns;
    }
    return due_ns;
}

uint32_t kt_kmip_batched(const struct kt_kmip_pool *pool)
{
    return pool->batched;
}
