/* SPDX-License-Identifier: Apache-2.0 */
/* A fast responder for load tests, shaped like AWS KMS (Encrypt, Decrypt, ReEncrypt) over TLS and HTTP/1.1
 * with connections kept. It checks no signatures, but wraps for real: AES-256-GCM under a key made from the
 * KeyId, so that what comes back proves which bytes and which CMK were sent. One thread.
 *
 *   fast_kms CERT.pem [delay=MS [spread=SIGMA]] [quota=PER_SECOND] [throttle=%] [error=%] [reset=%]
 * [truncate=%]
 *
 * spread: latencies are log-normal, their p99 exp(2.33 SIGMA) times the delay. Prints {"port": N}, and on
 * SIGTERM its figures. A session token "exp-MS" is refused after that UTC time. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_MAX 16384
#define CIPHER_MAX 1024

struct link {
    int fd;
    SSL *ssl;
    bool shaken, waiting, writing, dying;
    char in[IN_MAX];
    size_t in_nbytes;
    char out[8192];
    size_t out_nbytes, sent;
    double due;
    struct link *next; /* in the queue of delayed replies */
};

static struct {
    double delay, spread, quota, throttle, error, reset, truncate;
} options;
static struct {
    unsigned long requests, served, throttled, errors, resets, truncated, expired, links, open, most_open;
} figures;
static struct link *first_due, *last_due;
#define LINKS_MAX 65536
static struct link *links[LINKS_MAX]; /* by descriptor */
static double bucket, bucket_at;
static int epoll_fd;
static volatile sig_atomic_t stop;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool chance(double percent)
{
    return percent > 0 && (double)random() / (double)RAND_MAX * 100 < percent;
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

/* The text of a JSON string member, or a header's value. */
static bool between(const char *text, const char *name, const char *end, char *out, size_t nbytes)
{
    const char *at = strstr(text, name);
    if (!at)
        return false;
    at += strlen(name);
    if (*end == '"')
        at += strspn(at, ": \"");
    size_t n = strcspn(at, end);
    if (n >= nbytes)
        return false;
    memcpy(out, at, n);
    out[n] = 0;
    return true;
}

static int unbase64(const char *text, uint8_t *out)
{
    size_t n = strlen(text);
    int got = n > CIPHER_MAX ? -1 : EVP_DecodeBlock(out, (const uint8_t *)text, (int)n);
    for (; got > 0 && n && text[n - 1] == '='; n--)
        got--;
    return got;
}

static bool gcm(bool seal, const char *key_id, const uint8_t *iv, const uint8_t *in, int n, uint8_t *out,
                uint8_t *tag)
{
    uint8_t key[32];
    unsigned key_nbytes;
    int done, last;
    EVP_Digest(key_id, strlen(key_id), key, &key_nbytes, EVP_sha256(), NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, seal) == 1 &&
              EVP_CipherUpdate(ctx, out, &done, in, n) == 1 &&
              (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16, tag) == 1) &&
              EVP_CipherFinal_ex(ctx, out + done, &last) == 1 &&
              (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* length of the key id, key id, IV, tag, ciphertext */
static int wrap(const char *key_id, const uint8_t *plain, int n, uint8_t *out)
{
    size_t id = strlen(key_id);
    out[0] = (uint8_t)id;
    memcpy(out + 1, key_id, id);
    RAND_bytes(out + 1 + id, 12);
    return gcm(true, key_id, out + 1 + id, plain, n, out + 29 + id, out + 13 + id) ? (int)(29 + id) + n : -1;
}

static int unwrap(const uint8_t *in, int n, char *key_id, uint8_t *plain)
{
    uint8_t tag[16];
    int id = n > 0 ? in[0] : 0;
    if (n < 29 + id)
        return -1;
    memcpy(key_id, in + 1, (size_t)id);
    key_id[id] = 0;
    memcpy(tag, in + 13 + id, 16);
    return gcm(false, key_id, in + 1 + id, in + 29 + id, n - 29 - id, plain, tag) ? n - 29 - id : -1;
}

static void answer(struct link *link, int status, const char *body)
{
    size_t n = strlen(body);
    link->out_nbytes = (size_t)snprintf(link->out, sizeof link->out,
                                        "HTTP/1.1 %d X\r\nContent-Type: application/x-amz-json-1.1\r\n"
                                        "Content-Length: %zu\r\n\r\n%s",
                                        status, n, body);
    if (chance(options.truncate)) {
        figures.truncated++;
        link->out_nbytes -= n / 2;
        link->dying = true;
    }
}

static void fail(struct link *link, int status, const char *type)
{
    char body[200];
    snprintf(body, sizeof body, "{\"__type\":\"%s\",\"message\":\"as asked\"}", type);
    answer(link, status, body);
}

static void serve(struct link *link, const char *head, const char *body)
{
    char text[CIPHER_MAX + 1], key_id[256], source[256] = "", reply[4096], b64[2048];
    uint8_t blob[CIPHER_MAX], plain[CIPHER_MAX], made[CIPHER_MAX + 300];
    int n;
    bool encrypt = strstr(head, "TrentService.Encrypt"), decrypt = strstr(head, "TrentService.Decrypt");
    if (!between(body, encrypt ? "\"Plaintext\"" : "\"CiphertextBlob\"", "\"", text, sizeof text) ||
        (n = unbase64(text, blob)) < 0) {
        fail(link, 400, "ValidationException");
        return;
    }
    if (!encrypt && (n = unwrap(blob, n, source, plain)) < 0) {
        fail(link, 400, "InvalidCiphertextException");
        return;
    }
    if (strstr(body, "\"DryRun\":true")) {
        fail(link, 400, "DryRunOperationException");
        return;
    }
    figures.served++;
    if (decrypt) {
        EVP_EncodeBlock((uint8_t *)b64, plain, n);
        snprintf(reply, sizeof reply, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", source, b64);
        answer(link, 200, reply);
        return;
    }
    between(body, encrypt ? "\"KeyId\"" : "\"DestinationKeyId\"", "\"", key_id, sizeof key_id);
    EVP_EncodeBlock((uint8_t *)b64, made, wrap(key_id, encrypt ? blob : plain, n, made));
    snprintf(reply, sizeof reply, "{\"KeyId\":\"%s\",\"SourceKeyId\":\"%s\",\"CiphertextBlob\":\"%s\"}",
             key_id, source, b64);
    answer(link, 200, reply);
}

static bool over_quota(void)
{
    double t = now(CLOCK_MONOTONIC);
    if (options.quota <= 0)
        return false;
    bucket += (t - bucket_at) * options.quota;
    bucket_at = t;
    if (bucket > options.quota)
        bucket = options.quota;
    if (bucket < 1)
        return true;
    bucket -= 1;
    return false;
}

static bool token_expired(const char *head)
{
    char until[40];
    if (!between(head, "ecurity-Token: exp-", "\r", until, sizeof until) &&
        !between(head, "ecurity-token: exp-", "\r", until, sizeof until))
        return false;
    return atof(until) / 1000 < now(CLOCK_REALTIME);
}

/* Seconds: log-normal about the delay. */
static double delay(void)
{
    if (options.spread <= 0)
        return options.delay / 1000;
    double u = ((double)random() + 1) / ((double)RAND_MAX + 1), v = (double)random() / (double)RAND_MAX;
    return options.delay / 1000 * exp(options.spread * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

/* Into the queue of delayed replies, which is in order of time. */
static void put_off(struct link *link)
{
    struct link **at = &first_due;
    link->waiting = true;
    link->due = now(CLOCK_MONOTONIC) + delay();
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
    figures.requests++;
    link->dying = false;
    if (token_expired(head)) {
        figures.expired++;
        fail(link, 400, "ExpiredTokenException");
    } else if (chance(options.throttle) || over_quota()) {
        figures.throttled++;
        fail(link, 400, "ThrottlingException");
    } else if (chance(options.error)) {
        figures.errors++;
        fail(link, 503, "ServiceUnavailable");
    } else {
        serve(link, head, body);
    }
    put_off(link);
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
    double t = now(CLOCK_MONOTONIC);
    while (first_due && first_due->due <= t) {
        struct link *link = first_due;
        first_due = link->next;
        if (!first_due)
            last_due = NULL;
        link->waiting = false;
        if (chance(options.reset)) {
            figures.resets++;
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

static void admit(int listener, SSL_CTX *tls)
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

static void on_signal(int sign)
{
    (void)sign;
    stop = 1;
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t nbytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, nbytes) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &nbytes) != 0)
        return -1;
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void read_options(int argc, char **argv)
{
    static const struct {
        const char *name;
        double *value;
    } known[] = {{"delay=", &options.delay},       {"spread=", &options.spread}, {"quota=", &options.quota},
                 {"throttle=", &options.throttle}, {"error=", &options.error},   {"reset=", &options.reset},
                 {"truncate=", &options.truncate}};
    for (int i = 2; i < argc; i++)
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (strncmp(argv[i], known[k].name, strlen(known[k].name)) == 0)
                *known[k].value = atof(argv[i] + strlen(known[k].name));
    bucket = options.quota;
    bucket_at = now(CLOCK_MONOTONIC);
}

static void report(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"requests\": %lu, \"served\": %lu, \"throttled\": %lu, \"errors\": %lu, \"resets\": %lu, "
           "\"truncated\": %lu, "
           "\"expired\": %lu, \"connections\": %lu, \"mostOpen\": %lu, \"cpuSeconds\": %.3f}\n",
           figures.requests, figures.served, figures.throttled, figures.errors, figures.resets,
           figures.truncated, figures.expired, figures.links, figures.most_open,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    read_options(argc, argv);
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (argc < 2 || SSL_CTX_use_certificate_chain_file(tls, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, argv[1], SSL_FILETYPE_PEM) != 1)
        return 2;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_anywhere();
    struct epoll_event events[256], event = {.events = EPOLLIN};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    while (!stop) {
        double wait = first_due ? (first_due->due - now(CLOCK_MONOTONIC)) * 1000 + 0.999 : 1000;
        int n = epoll_wait(epoll_fd, events, 256, wait < 0 ? 0 : (int)wait);
        for (int i = 0; i < n; i++) {
            struct link *link = events[i].data.ptr;
            if (!link)
                admit(listener, tls);
            else if (link->writing)
                flush(link);
            else
                receive(link);
        }
        send_due();
    }
    for (int fd = 0; fd < LINKS_MAX; fd++)
        if (links[fd])
            drop(links[fd], true);
    SSL_CTX_free(tls);
    report();
    return 0;
}
