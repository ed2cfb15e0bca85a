/* SPDX-License-Identifier: Apache-2.0 */
/* A client that rewraps as drivers with promises do (Node's state_machine.ts): all Decrypts at once, then all
 * Encrypts, each on a TLS connection of its own, without a bound. It is a favourable picture of them:
 * requests carry no signature, replies are only searched for their one value, and there is no BSON.
 *
 *   fan_out CA.pem HOST:PORT OLD_KEY NEW_KEY <wraps      one wrapped DEK in base64 a line
 *
 * Prints {"keys", "seconds", "cpuSeconds"} and exits with 1 when a call failed. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define TEXT_MAX 4096
#define REPLY_MAX 8192

struct call {
    char text[TEXT_MAX]; /* wrap, then DEK, then new wrap, in base64 */
    char body[TEXT_MAX + 300], reply[REPLY_MAX];
    size_t reply_nbytes;
    CURL *easy;
};

static struct call *calls;
static size_t count;
static const char *ca, *host;

static size_t take(char *data, size_t one, size_t n, void *context)
{
    struct call *call = context;
    if (one * n >= REPLY_MAX - call->reply_nbytes)
        return 0;
    memcpy(call->reply + call->reply_nbytes, data, one * n);
    call->reply_nbytes += one * n;
    call->reply[call->reply_nbytes] = 0;
    return one * n;
}

static bool read_wraps(void)
{
    char line[TEXT_MAX];
    while (fgets(line, sizeof line, stdin)) {
        struct call *more = realloc(calls, (count + 1) * sizeof *more);
        if (!more)
            return false;
        calls = more;
        memset(&calls[count], 0, sizeof *calls);
        line[strcspn(line, "\n")] = 0;
        snprintf(calls[count].text, TEXT_MAX, "%s", line);
        count++;
    }
    return count > 0;
}

static void start(CURLM *multi, struct call *call, struct curl_slist *headers, const char *url)
{
    call->reply_nbytes = 0;
    call->easy = curl_easy_init();
    curl_easy_setopt(call->easy, CURLOPT_URL, url);
    curl_easy_setopt(call->easy, CURLOPT_CAINFO, ca);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(call->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_multi_add_handle(multi, call->easy);
}

/* The reply's one value becomes the call's text. */
static bool take_value(struct call *call, const char *field)
{
    char *at = strstr(call->reply, field);
    if (!at)
        return false;
    at += strlen(field) + 2; /* the colon and the quote */
    size_t n = strcspn(at, "\"");
    if (n >= TEXT_MAX)
        return false;
    memcpy(call->text, at, n);
    call->text[n] = 0;
    return true;
}

static size_t finish(CURLM *multi, const char *field)
{
    size_t failed = 0;
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(multi, &left));) {
        struct call *call;
        CURL *easy = message->easy_handle;
        bool ok = message->data.result == CURLE_OK;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
        failed += !ok || !take_value(call, field);
        curl_multi_remove_handle(multi, easy);
        curl_easy_cleanup(easy);
    }
    return failed;
}

/* All calls of a phase at once. Returns how many failed. */
static size_t phase(const char *operation, const char *key, const char *field)
{
    char target[100], url[200];
    bool encrypt = strcmp(operation, "Encrypt") == 0;
    size_t failed = 0;
    int running = 1;
    snprintf(target, sizeof target, "X-Amz-Target: TrentService.%s", operation);
    snprintf(url, sizeof url, "https://%s/", host);
    struct curl_slist *headers = curl_slist_append(NULL, target);
    headers = curl_slist_append(headers, "Content-Type: application/x-amz-json-1.1");
    headers = curl_slist_append(headers, "Connection: close");
    CURLM *multi = curl_multi_init();
    for (size_t i = 0; i < count; i++) {
        if (encrypt)
            snprintf(calls[i].body, sizeof calls[i].body, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", key,
                     calls[i].text);
        else
            snprintf(calls[i].body, sizeof calls[i].body, "{\"CiphertextBlob\":\"%s\"}", calls[i].text);
        start(multi, &calls[i], headers, url);
    }
    while (running) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            break;
        failed += finish(multi, field);
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    failed += finish(multi, field);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    return failed;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    struct rusage usage;
    if (argc != 5 || !read_wraps())
        return 2;
    ca = argv[1];
    host = argv[2];
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    double begun = now();
    size_t failed =
        phase("Decrypt", argv[3], "\"Plaintext\"") + phase("Encrypt", argv[4], "\"CiphertextBlob\"");
    double seconds = now() - begun;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"keys\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"cpuSeconds\": %.3f}\n", count, failed,
           seconds,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    curl_global_cleanup();
    return failed > 0;
}
