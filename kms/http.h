/* SPDX-License-Identifier: Apache-2.0 */
/* Carries exchanges over HTTPS with libcurl's multi interface: HTTP/2 where offered, connections kept. Runs
 * in the event loop's thread. */
#ifndef KT_KMS_HTTP_H
#define KT_KMS_HTTP_H

#include <curl/curl.h>

#include "kms/exchange.h"
#include "kms/poll.h"
#include "kms/tls.h"

/* One request under way. Owned by the caller, reusable once finished has been called. */
struct kt_transfer {
    struct kt_exchange x;
    const struct kt_tls *tls;
    uint32_t timeout_ms;
    void (*finished)(struct kt_transfer *transfer); /* once per kt_http_send, never from within it */
    CURL *easy;                                     /* the transport's from here */
    const struct kt_tls *signed_for; /* the handle is set up for signed requests of this account */
    struct kt_transfer *next;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
};

struct kt_http;

/* NULL: memory ran out. epoll_fd is borrowed. connections: at most so many kept or open, those of
 * kt_http_connect included. */
struct kt_http *kt_http_new(int epoll_fd, uint32_t connections);
/* Raises that limit, or (less than 0) lowers it again. What kt_http_connect opens is never closed for the
 * sake of another connection, so it needs room beside that of the requests, which would wait for it without
 * end. */
void kt_http_allow(struct kt_http *http, int more);
void kt_http_free(struct kt_http *http);

/* True: finished will be called. False: memory ran out. */
bool kt_http_send(struct kt_http *http, struct kt_transfer *transfer);

/* Opens a TLS connection only, for what speaks another protocol over it; the socket is then
 * CURLINFO_ACTIVESOCKET, and the handle stays the transport's until kt_http_drop. url: "https://host:port".
 */
bool kt_http_connect(struct kt_http *http, struct kt_transfer *transfer, const char *url);

/* Ends a request without calling finished, or gives a connection up. */
void kt_http_drop(struct kt_http *http, struct kt_transfer *transfer);
void kt_transfer_free(struct kt_http *http, struct kt_transfer *transfer);

/* When kt_http_run wants to be called, UINT64_MAX: no wish. run also calls finished for all that is. */
uint64_t kt_http_due_ns(const struct kt_http *http);
void kt_http_run(struct kt_http *http, uint64_t now_ns);

/* Frees what events of one epoll_wait may still have pointed to. */
void kt_http_sweep(struct kt_http *http);

/* Turns a libcurl error into x.problem and x.problem_reason. */
void kt_http_problem(struct kt_transfer *transfer, CURLcode code);

#endif
