/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kms.h"

#include <curl/curl.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "kms/loop.h"

#define EVENTS 128
#define SLOT_LOCKED_NBYTES (3 * KT_SECBUF_KEEP)

static void set_defaults(struct kt_kms_options *options)
{
    if (!options->concurrency)
        options->concurrency = 512;
    if (!options->queue_max)
        options->queue_max = 65536;
    if (!options->attempt_ms)
        options->attempt_ms = 10000;
    if (!options->deadline_ms)
        options->deadline_ms = 120000;
    /* Requests in flight may hold no more than half of the locked memory. */
    size_t fit = kt_secmem_size(options->secmem) / 2 / SLOT_LOCKED_NBYTES;
    if (options->concurrency > fit)
        options->concurrency = (uint32_t)fit;
}

static void on_wake(struct kt_poll_source *source, uint32_t events)
{
    struct kt_kms_loop *loop = (struct kt_kms_loop *)((char *)source - offsetof(struct kt_kms_loop, wake));
    uint64_t count;
    (void)events;
    if (read(loop->wake_fd, &count, sizeof count) < 0)
        return;
}

static void wake(struct kt_kms_loop *loop)
{
    uint64_t one = 1;
    /* Fails only when the counter is full, and then the loop is awake. */
    if (write(loop->wake_fd, &one, sizeof one) < 0)
        return;
}

/* False: time to end. */
static bool drain(struct kt_kms_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct kt_call_list inbox = loop->inbox;
    bool cancel = loop->cancel, closing = loop->closing;
    loop->inbox = (struct kt_call_list){0};
    loop->cancel = false;
    pthread_mutex_unlock(&loop->lock);
    for (struct kt_kms_call *call; (call = kt_list_pop(&inbox));)
        kt_flow_admit(loop, call);
    if (cancel)
        kt_flow_cancel(loop);
    pthread_mutex_lock(&loop->lock);
    bool over = closing && loop->open_calls == 0;
    pthread_mutex_unlock(&loop->lock);
    return !over;
}

static int wait_ms(uint64_t due_ns)
{
    uint64_t now_ns = kt_clock_ns();
    if (due_ns == UINT64_MAX)
        return 60000;
    if (due_ns <= now_ns)
        return 0;
    uint64_t ms = (due_ns - now_ns + 999999) / 1000000;
    return ms > 60000 ? 60000 : (int)ms;
}

static void *run(void *arg)
{
    struct kt_kms_loop *loop = arg;
    struct epoll_event events[EVENTS];
    while (drain(loop)) {
        uint64_t due_ns = kt_flow_pump(loop, kt_clock_ns());
        if (kt_http_due_ns(loop->http) < due_ns)
            due_ns = kt_http_due_ns(loop->http);
        int n = epoll_wait(loop->epoll_fd, events, EVENTS, wait_ms(due_ns));
        for (int i = 0; i < n; i++) {
            struct kt_poll_source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        kt_http_run(loop->http, kt_clock_ns());
        kt_http_sweep(loop->http);
    }
    return NULL;
}

static void free_loop(struct kt_kms_loop *loop)
{
    kt_slots_free(loop);
    kt_loop_free_registry(loop);
    kt_http_free(loop->http);
    if (loop->curl_ready)
        curl_global_cleanup();
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop->slots);
    free(loop->delayed);
    free(loop);
}

static bool start_thread(struct kt_kms_loop *loop)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int problem = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return problem == 0;
}

static bool prepare(struct kt_kms_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->wake};
    loop->wake.ready = on_wake;
    loop->curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!loop->curl_ready)
        return false;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0)
        return false;
    loop->slots_max = loop->options.concurrency;
    loop->slots = calloc(loop->slots_max, sizeof(struct kt_slot *));
    loop->http = kt_http_new(loop->epoll_fd, loop->options.concurrency);
    return loop->slots && loop->http && RAND_bytes((unsigned char *)&loop->random, sizeof loop->random) == 1;
}

enum kt_status kt_kms_open(struct kt_kms_loop **out, const struct kt_kms_options *options,
                           struct kt_error *err)
{
    *out = NULL;
    struct kt_kms_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    loop->epoll_fd = loop->wake_fd = -1;
    loop->options = *options;
    set_defaults(&loop->options);
    pthread_mutex_init(&loop->lock, NULL);
    if (!prepare(loop) || !start_thread(loop)) {
        free_loop(loop);
        return kt_fail(err, KT_E_INTERNAL,
                       "the event loop for KMS calls cannot start (descriptors or threads ran out)");
    }
    *out = loop;
    return KT_OK;
}

enum kt_status kt_kms_submit(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    enum kt_status status = KT_OK;
    bool first = false;
    pthread_mutex_lock(&loop->lock);
    if (loop->closing) {
        status = KT_E_STOPPED;
    } else if (loop->open_calls >= loop->options.queue_max) {
        status = KT_E_LIMIT;
    } else {
        first = !loop->inbox.first;
        loop->open_calls++;
        kt_list_push(&loop->inbox, call);
    }
    pthread_mutex_unlock(&loop->lock);
    if (first)
        wake(loop);
    return status;
}

static void ask_cancel(struct kt_kms_loop *loop, bool closing)
{
    pthread_mutex_lock(&loop->lock);
    loop->cancel = true;
    loop->closing |= closing;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

void kt_kms_cancel_all(struct kt_kms_loop *loop)
{
    ask_cancel(loop, false);
}

void kt_kms_close(struct kt_kms_loop *loop)
{
    if (!loop)
        return;
    ask_cancel(loop, true);
    pthread_join(loop->thread, NULL);
    free_loop(loop);
}
