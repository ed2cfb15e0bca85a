/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a pool (kmip_pool.h): a small state machine around one message at a time. */
#ifndef KT_KMS_KMIP_LINK_H
#define KT_KMS_KMIP_LINK_H

#include "kms/kmip_pool.h"

#define KT_KMIP_BATCH_MAX 32
enum kt_link_state { LINK_DOWN, LINK_CONNECTING, LINK_IDLE, LINK_SENDING, LINK_RECEIVING };

struct kt_kmip_link {
    struct kt_poll_source source;
    struct kt_kmip_pool *pool;
    struct kt_transfer connection;
    enum kt_link_state state;
    curl_socket_t fd;
    struct kt_secbuf out, in;
    size_t sent;
    uint64_t due_ns;
    struct kt_transfer *items[KT_KMIP_BATCH_MAX];
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
    uint64_t grow_ns; /* no further connection before */
    uint32_t links_count;
    struct kt_kmip_link links[];
};

void kt_kmip_link_init(struct kt_kmip_link *link, struct kt_kmip_pool *pool, const struct kt_tls *tls,
                       struct kt_secmem *secmem);
/* Closes it; what it carries is not finished. */
void kt_kmip_link_close(struct kt_kmip_link *link);
void kt_kmip_link_connect(struct kt_kmip_link *link, uint64_t now_ns);
/* The end of an attempt to connect: closes it, and where no other is open finishes what waits with
 * this problem. */
void kt_kmip_link_unreachable(struct kt_kmip_link *link, enum kt_kms_reason reason, const char *problem);
/* Sends up to `share` of the pool's waiting requests. */
void kt_kmip_link_begin(struct kt_kmip_link *link, size_t share, uint64_t now_ns);
/* Closes it and finishes what it carries with this problem. */
void kt_kmip_link_fail(struct kt_kmip_link *link, enum kt_kms_reason reason, const char *problem);

/* Whether any connection is open. */
bool kt_kmip_pool_is_up(const struct kt_kmip_pool *pool);
/* The first of the pool's waiting requests. */
struct kt_transfer *kt_kmip_pool_take(struct kt_kmip_pool *pool);

#endif
