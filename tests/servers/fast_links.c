/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/servers/fast_links.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_MAX 16384
#define LINKS_MAX 65536

struct link {
    int fd;
    SSL *ssl;
    bool shaken, waiting, writing, dying, reset;
    char in[IN_MAX];
    size_t in_nbytes;
    char out[8192];
    size_t out_nbytes, sent;
    double due;
    struct link *next; /* in the queue of delayed replies */
};

static struct link *first_due, *last_due;
static struct link *links[LINKS_MAX]; /* by descriptor */
static struct links_figures figures;
static links_respond answer;
static SSL_CTX *tls;
static int epoll_fd, listener;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void watch(struct link *link, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, link->fd, &event);
}

static void drop(struct link *link, bool hard)
{
    struct linger now_linger = {1, 0};
    if (hard)
        setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &now_linger, sizeof now_linger);
    SSL_free(link->ssl);
    links[link->fd] = NULL;
    close(link->fd);
    figures.open--;
    free(link);
}

/* Into the queue of delayed replies, which is in order of time. */
static void put_off(struct link *link, double delay)
{
    struct link **at = &first_due;
    link->waiting = true;
    link->due = now() + delay;
    if (last_due && last_due->due <= link->due)
        at = &last_due->next;
    while (*at && (*at)->due <= link->due)
        at = &(*at)->next;
    link->next = *at;
    *at = link;
    if (!link->next)
        last_due = link;
}

static void handle(struct link *link, const char *head, const char *body)
{
    struct reply reply = {0};
    answer(head, body, &reply);
    size_t n = strlen(reply.body);
    link->out_nbytes = (size_t)snprintf(link->out, sizeof link->out,
                                        "HTTP/1.1 %d X\r\nContent-Type: application/x-amz-json-1.1\r\n"
                                        "Content-Length: %zu\r\n\r\n%s",
                                        reply.status, n, reply.body);
    link->out_nbytes -= reply.truncate ? n / 2 : 0;
    link->dying = reply.truncate;
    link->reset = reply.reset;
    put_off(link, reply.delay);
}

/* A whole request at the front of in, if there is one. */
static void take_request(struct link *link)
{
    link->in[link->in_nbytes] = 0;
    char *end = strstr(link->in, "\r\n\r\n"), *length;
    if (link->waiting || link->writing || !end)
        return;
    *end = 0;
    length = strcasestr(link->in, "\r\nContent-Length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0, head = (size_t)(end - link->in) + 4;
    if (link->in_nbytes < head + body) {
        *end = '\r';
        return;
    }
    char saved = link->in[head + body];
    link->in[head + body] = 0;
    handle(link, link->in, link->in + head);
    link->in[head + body] = saved;
    memmove(link->in, link->in + head + body, link->in_nbytes - head - body);
    link->in_nbytes -= head + body;
}

/* False: the link is gone. */
static bool flush(struct link *link)
{
    while (link->sent < link->out_nbytes) {
        int n = SSL_write(link->ssl, link->out + link->sent, (int)(link->out_nbytes - link->sent));
        if (n <= 0) {
            if (SSL_get_error(link->ssl, n) == SSL_ERROR_WANT_WRITE) {
                watch(link, EPOLLIN | EPOLLOUT);
                return true;
            }
            drop(link, false);
            return false;
        }
        link->sent += (size_t)n;
    }
    link->writing = false;
    if (link->dying) {
        drop(link, false);
        return false;
    }
    watch(link, EPOLLIN);
    take_request(link);
    return true;
}

static void send_due(void)
{
    double t = now();
    while (first_due && first_due->due <= t) {
        struct link *link = first_due;
        first_due = link->next;
        if (!first_due)
            last_due = NULL;
        link->waiting = false;
        if (link->reset) {
            drop(link, true);
            continue;
        }
        link->sent = 0;
        link->writing = true;
        flush(link);
    }
}

static void receive(struct link *link)
{
    if (!link->shaken) {
        int n = SSL_accept(link->ssl);
        if (n != 1) {
            int why = SSL_get_error(link->ssl, n);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                drop(link, false);
            return;
        }
        link->shaken = true;
    }
    for (;;) {
        int n = SSL_read(link->ssl, link->in + link->in_nbytes, (int)(IN_MAX - 1 - link->in_nbytes));
        if (n <= 0) {
            int why = SSL_get_error(link->ssl, n);
            /* What waits for its delay is found closed when it is written. */
            if (why != SSL_ERROR_WANT_READ && !link->waiting)
                drop(link, false);
            else if (why != SSL_ERROR_WANT_READ)
                watch(link, 0);
            else
                take_request(link);
            return;
        }
        link->in_nbytes += (size_t)n;
    }
}

static void admit(void)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct link *link = fd < LINKS_MAX ? calloc(1, sizeof *link) : NULL;
        if (!link) {
            close(fd);
            continue;
        }
        links[fd] = link;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        link->fd = fd;
        link->ssl = SSL_new(tls);
        SSL_set_fd(link->ssl, fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
        figures.links++;
        if (++figures.open > figures.most_open)
            figures.most_open = figures.open;
    }
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t nbytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, nbytes) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &nbytes) != 0)
        return -1;
    listener = fd;
    return ntohs(address.sin_port);
}

int links_open(const char *pem)
{
    tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls, pem) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, pem, SSL_FILETYPE_PEM) != 1)
        return -1;
    struct epoll_event event = {.events = EPOLLIN};
    int port = listen_anywhere();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    return port;
}

void links_serve(links_respond respond, const volatile sig_atomic_t *stop)
{
    struct epoll_event events[256];
    answer = respond;
    while (!*stop) {
        double wait = first_due ? (first_due->due - now()) * 1000 + 0.999 : 1000;
        int n = epoll_wait(epoll_fd, events, 256, wait < 0 ? 0 : (int)wait);
        for (int i = 0; i < n; i++) {
            struct link *link = events[i].data.ptr;
            if (!link)
                admit();
            else if (link->writing)
                flush(link);
            else
                receive(link);
        }
        send_due();
    }
}

struct links_figures links_close(void)
{
    struct links_figures seen = figures;
    for (int fd = 0; fd < LINKS_MAX; fd++)
        if (links[fd])
            drop(links[fd], true);
    SSL_CTX_free(tls);
    return seen;
}
