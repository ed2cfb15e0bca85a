/* SPDX-License-Identifier: Apache-2.0 */
/* Kept TLS connections to one KMIP server. Requests that wait together go out as one message where the server
 * takes that; a connection carries one message at a time. Runs in the event loop's thread. */
#ifndef KT_KMS_KMIP_POOL_H
#define KT_KMS_KMIP_POOL_H

#include "kms/http.h"

struct kt_kmip_pool;

/* host: "name[:port]", port 5696 by default. All borrowed. NULL: memory ran out. */
struct kt_kmip_pool *kt_kmip_pool_new(struct kt_http *http, int epoll_fd, const char *host,
                                      const struct kt_tls *tls, uint32_t connections, uint32_t timeout_ms,
                                      struct kt_secmem *secmem);
/* Gives up all connections; what is under way is not finished. */
void kt_kmip_pool_free(struct kt_kmip_pool *pool);

/* Queues a transfer whose body is a batch item. finished is called from kt_kmip_pump or an event. */
void kt_kmip_send(struct kt_kmip_pool *pool, struct kt_transfer *transfer);

/* Sends what waits, fails what is late. Call after each round of events, and at kt_kmip_due_ns. */
void kt_kmip_pump(struct kt_kmip_pool *pool, uint64_t now_ns);
uint64_t kt_kmip_due_ns(const struct kt_kmip_pool *pool);

/* Most items that one message has carried with success. */
uint32_t kt_kmip_batched(const struct kt_kmip_pool *pool);

#endif
