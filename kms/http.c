/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"

struct socket_source {
    struct kt_poll_source source;
    struct kt_http *http;
    curl_socket_t fd;
    struct socket_source *next_dead;
};

struct kt_http {
    CURLM *multi;
    CURLSH *sessions; /* of TLS, so that a new connection resumes one instead of proving everything again */
    int epoll_fd;
    uint64_t due_ns;
    long connections; /* at most */
    struct socket_source *dead;
    bool ca_bundle; /* the system's trust is there as one file */
};

static void on_ready(struct kt_poll_source *source, uint32_t events)
{
    struct socket_source *s = (struct socket_source *)source;
    int mask = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    int running;
    if (s->http)
        curl_multi_socket_action(s->http->multi, s->fd, mask, &running);
}

/* Its events of this round may still be in hand: freed by kt_http_sweep. */
static void bury(struct kt_http *http, struct socket_source *s)
{
    epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    curl_multi_assign(http->multi, s->fd, NULL);
    s->http = NULL;
    s->next_dead = http->dead;
    http->dead = s;
}

/* What a callback tells libcurl's multi interface, which then fails all transfers. */
#define CALLBACK_FAILED (-1)

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    (void)easy;
    struct kt_http *http = user;
    struct socket_source *s = known;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            bury(http, s);
        return 0;
    }
    struct epoll_event event = {.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
                                          (what & CURL_POLL_OUT ? EPOLLOUT : 0u)};
    int action = s ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            return CALLBACK_FAILED;
        *s = (struct socket_source){{on_ready}, http, fd, NULL};
        curl_multi_assign(http->multi, fd, s);
    }
    event.data.ptr = &s->source;
    return epoll_ctl(http->epoll_fd, action, fd, &event) == 0 ? 0 : CALLBACK_FAILED;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    struct kt_http *http = user;
    http->due_ns = timeout_ms < 0 ? UINT64_MAX : kt_clock_ns() + (uint64_t)timeout_ms * 1000000u;
    return 0;
}

struct kt_http *kt_http_new(int epoll_fd, uint32_t connections)
{
    struct kt_http *http = calloc(1, sizeof *http);
    if (!http)
        return NULL;
    const char *bundle = curl_version_info(CURLVERSION_NOW)->cainfo;
    *http = (struct kt_http){.multi = curl_multi_init(),
                             .sessions = curl_share_init(),
                             .epoll_fd = epoll_fd,
                             .due_ns = UINT64_MAX,
                             .ca_bundle = bundle && access(bundle, R_OK) == 0};
    if (!http->multi || !http->sessions) {
        kt_http_free(http);
        return NULL;
    }
    curl_share_setopt(http->sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    kt_http_allow(http, (int)connections);
    return http;
}

void kt_http_allow(struct kt_http *http, int more)
{
    http->connections += more;
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, http->connections);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, http->connections);
}

void kt_http_free(struct kt_http *http)
{
    if (!http)
        return;
    curl_multi_cleanup(http->multi);
    curl_share_cleanup(http->sessions);
    kt_http_sweep(http);
    free(http);
}

void kt_http_sweep(struct kt_http *http)
{
    while (http->dead) {
        struct socket_source *s = http->dead;
        http->dead = s->next_dead;
        free(s);
    }
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct kt_transfer *transfer = user;
    size_t nbytes = size * count;
    if (nbytes > KT_KMS_REPLY_MAX - transfer->x.reply.nbytes)
        return 0;
    kt_secbuf_put(&transfer->x.reply, data, nbytes);
    return transfer->x.reply.failed ? 0 : nbytes;
}

static bool add_headers(struct kt_transfer *transfer)
{
    const char *line = (const char *)transfer->x.headers.data;
    const char *end = line + transfer->x.headers.nbytes;
    for (; line < end; line += strlen(line) + 1) {
        struct curl_slist *more = curl_slist_append(transfer->headers, line);
        if (!more)
            return false;
        transfer->headers = more;
    }
    return true;
}

static bool ready_handle(struct kt_http *http, struct kt_transfer *transfer, const char *url)
{
    if (transfer->easy)
        curl_easy_reset(transfer->easy);
    else if (!(transfer->easy = curl_easy_init()))
        return false;
    CURL *easy = transfer->easy;
    transfer->signed_for = NULL;
    curl_easy_setopt(easy, CURLOPT_SHARE, http->sessions);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 4096L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)transfer->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(transfer->timeout_ms < 5000 ? transfer->timeout_ms : 5000));
    kt_tls_apply(transfer->tls, easy, http->ca_bundle);
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

static void set_usual(struct kt_transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, transfer->x.metadata ? "http,https" : "https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    /* Wait for a connection that may turn out to carry many streams rather than open one for each. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (transfer->x.metadata)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
}

/* The calls that come in thousands: a handle that has carried one for this account needs only what differs.
 */
static bool ready_request(struct kt_http *http, struct kt_transfer *transfer)
{
    const struct kt_exchange *x = &transfer->x;
    bool usual = x->method == KT_POST && x->sigv4[0] && !x->metadata;
    if (usual && transfer->easy && transfer->signed_for == transfer->tls)
        return curl_easy_setopt(transfer->easy, CURLOPT_URL, x->url) == CURLE_OK;
    if (!ready_handle(http, transfer, x->url))
        return false;
    set_usual(transfer);
    transfer->signed_for = usual ? transfer->tls : NULL;
    return true;
}

static bool set_request(struct kt_transfer *transfer)
{
    struct kt_exchange *x = &transfer->x;
    CURL *easy = transfer->easy;
    transfer->error[0] = 0;
    if (x->method == KT_POST) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)x->body.nbytes);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, x->body.nbytes ? (const char *)x->body.data : "");
    } else if (x->method == KT_PUT) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
    }
    if (x->sigv4[0]) {
        curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, x->sigv4);
        curl_easy_setopt(easy, CURLOPT_USERNAME, x->sign_key);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, x->sign_secret);
    }
    return add_headers(transfer) && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
}

static void clear_headers(struct kt_transfer *transfer)
{
    for (struct curl_slist *at = transfer->headers; at; at = at->next)
        kt_wipe(at->data, strlen(at->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

bool kt_http_send(struct kt_http *http, struct kt_transfer *transfer)
{
    if (ready_request(http, transfer) && set_request(transfer) &&
        curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK)
        return true;
    clear_headers(transfer);
    return false;
}

bool kt_http_connect(struct kt_http *http, struct kt_transfer *transfer, const char *url)
{
    if (!ready_handle(http, transfer, url))
        return false;
    transfer->error[0] = 0;
    curl_easy_setopt(transfer->easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
    /* Kept for long, so that little is saved; some servers (PyKMIP) take no session that is resumed. */
    curl_easy_setopt(transfer->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(transfer->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    return curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK;
}

void kt_http_drop(struct kt_http *http, struct kt_transfer *transfer)
{
    if (transfer->easy)
        curl_multi_remove_handle(http->multi, transfer->easy);
    clear_headers(transfer);
}

void kt_transfer_free(struct kt_http *http, struct kt_transfer *transfer)
{
    kt_http_drop(http, transfer);
    curl_easy_cleanup(transfer->easy);
    kt_exchange_free(&transfer->x);
}

uint64_t kt_http_due_ns(const struct kt_http *http)
{
    return http->due_ns;
}

static void finish(struct kt_http *http, struct kt_transfer *transfer, CURLcode code)
{
    long connect_only = transfer->x.url[0] == 0;
    curl_off_t retry_after = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &transfer->x.status);
        curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0)
            transfer->x.retry_after_ms = retry_after < 600 ? (uint32_t)retry_after * 1000 : 600000;
    } else {
        transfer->x.status = 0;
        kt_http_problem(transfer, code);
    }
    if (!connect_only)
        kt_http_drop(http, transfer);
    transfer->finished(transfer);
}

void kt_http_run(struct kt_http *http, uint64_t now_ns)
{
    int left;
    if (http->due_ns <= now_ns) {
        http->due_ns = UINT64_MAX;
        curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &left);
    }
    for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left));) {
        struct kt_transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        finish(http, transfer, code);
    }
}
