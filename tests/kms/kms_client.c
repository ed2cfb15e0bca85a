/* SPDX-License-Identifier: Apache-2.0 */
/* A program around kms/kms.h for tests against servers: reads one JSON document from stdin,
 *   {"accounts": {ID: {"kms": "aws", "credentials": {}, "tls": {}}}, "options": {...}, "steps": [STEP]}
 * and prints {"steps": [RESULT], "stats": {...}}. A step is
 *   {"do": "call", "op": "wrap", "account": ID, "masterKey": {}, "source": {}, "in": BASE64}
 *   {"do": "load", "account": ID, "masterKey": {}, "source": {}, "count": N}
 *   {"do": "sleep", "ms": N}
 * What a load does stands in kms_client_load.c. */
#include "tests/kms/kms_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "kms/json.h"
#include "kms/secbuf.h"

#define ACCOUNTS_MAX 32

static struct kt_kms_account accounts[ACCOUNTS_MAX];
static size_t accounts_count;
static struct kt_secmem *secmem;
static struct kt_kms_loop *loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t open_calls;
static unsigned supplied_count;

static void die(const char *what)
{
    fprintf(stderr, "kms_client: %s\n", what);
    exit(2);
}

static void log_line(void *context, enum kt_log_level level, const char *line)
{
    (void)context;
    fprintf(stderr, "%d %s\n", (int)level, line);
}

static bson_t *read_input(void)
{
    size_t nbytes = 0, capacity = 1 << 16;
    char *text = malloc(capacity);
    for (size_t n; text && (n = fread(text + nbytes, 1, capacity - nbytes, stdin)) > 0;) {
        nbytes += n;
        if (nbytes == capacity)
            text = realloc(text, capacity *= 2);
    }
    bson_t *json = text ? kt_json_parse(kt_span_of(text, nbytes)) : NULL;
    free(text);
    if (!json)
        die("stdin is no JSON object");
    return json;
}

struct kt_span client_document(const bson_iter_t *parent, const char *name)
{
    bson_iter_t it;
    uint32_t nbytes;
    const uint8_t *data;
    if (!bson_iter_recurse(parent, &it) || !bson_iter_find(&it, name) || !BSON_ITER_HOLDS_DOCUMENT(&it))
        return kt_span_of(NULL, 0);
    bson_iter_document(&it, &nbytes, &data);
    return kt_span_of(data, nbytes);
}

const char *client_text(const bson_iter_t *parent, const char *name)
{
    bson_iter_t it;
    if (!bson_iter_recurse(parent, &it) || !bson_iter_find(&it, name) || !BSON_ITER_HOLDS_UTF8(&it))
        return NULL;
    return bson_iter_utf8(&it, NULL);
}

int64_t client_number(const bson_iter_t *parent, const char *name, int64_t otherwise)
{
    bson_iter_t it;
    if (!bson_iter_recurse(parent, &it) || !bson_iter_find(&it, name))
        return otherwise;
    return bson_iter_as_int64(&it);
}

static enum kt_kms kms_of(const char *name)
{
    static const char *const names[] = {"local", "aws", "azure", "gcp", "kmip"};
    for (int i = 0; i < 5; i++)
        if (name && strcmp(name, names[i]) == 0)
            return (enum kt_kms)i;
    die("unknown kms");
    return KT_KMS_LOCAL;
}

static void read_accounts(const bson_t *input)
{
    bson_iter_t it, item;
    if (!bson_iter_init_find(&it, input, "accounts") || !bson_iter_recurse(&it, &item))
        die("no accounts");
    while (bson_iter_next(&item) && accounts_count < ACCOUNTS_MAX) {
        struct kt_span credentials = client_document(&item, "credentials");
        uint8_t *locked = kt_secmem_alloc(secmem, credentials.nbytes);
        memcpy(locked, credentials.data, credentials.nbytes);
        accounts[accounts_count++] =
            (struct kt_kms_account){bson_iter_key(&item), kms_of(client_text(&item, "kms")),
                                    kt_span_of(locked, credentials.nbytes), client_document(&item, "tls")};
    }
}

struct kt_kms_account *client_account(const bson_iter_t *step)
{
    const char *id = client_text(step, "account");
    for (size_t i = 0; i < accounts_count; i++)
        if (id && strcmp(accounts[i].id, id) == 0)
            return &accounts[i];
    die("unknown account");
    return NULL;
}

static void on_done(struct kt_kms_call *call)
{
    (void)call;
    pthread_mutex_lock(&lock);
    if (--open_calls == 0)
        pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

void client_submit(struct kt_kms_call *call)
{
    call->done = on_done;
    pthread_mutex_lock(&lock);
    open_calls++;
    pthread_mutex_unlock(&lock);
    while (kt_kms_submit(loop, call) == KT_E_LIMIT)
        usleep(1000);
}

void client_wait(void)
{
    pthread_mutex_lock(&lock);
    while (open_calls)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void put_call(bson_t *result, const struct kt_kms_call *call)
{
    BSON_APPEND_UTF8(result, "status", kt_status_name(call->error.status));
    BSON_APPEND_UTF8(result, "reason", kt_kms_reason_text(call->reason));
    BSON_APPEND_UTF8(result, "message", call->error.status == KT_OK ? "" : call->error.message);
    BSON_APPEND_INT32(result, "attempts", (int32_t)call->attempts);
    if (call->error.status == KT_OK && call->op == KT_KMS_RESOLVE) {
        bson_t doc;
        if (kt_doc_view(kt_span_of(call->out, call->out_nbytes), &doc))
            BSON_APPEND_DOCUMENT(result, "masterKey", &doc);
    } else if (call->error.status == KT_OK) {
        struct kt_secbuf base64;
        kt_secbuf_init(&base64, secmem);
        kt_secbuf_base64(&base64, kt_span_of(call->out, call->out_nbytes));
        bson_append_utf8(result, "out", -1, (const char *)base64.data, (int)base64.nbytes);
        kt_secbuf_free(&base64);
    }
}

static enum kt_kms_op op_of(const char *name)
{
    static const char *const names[] = {"unwrap", "wrap", "rewrap", "dryrun", "resolve"};
    for (int i = 0; i < 5; i++)
        if (name && strcmp(name, names[i]) == 0)
            return (enum kt_kms_op)i;
    die("unknown op");
    return KT_KMS_UNWRAP;
}

static void do_call(const bson_iter_t *step, bson_t *result)
{
    static uint8_t in[KT_KMS_OUT_MAX], out[KT_KMS_OUT_MAX];
    size_t in_nbytes = 0;
    const char *base64 = client_text(step, "in");
    if (base64 && !kt_base64_decode(kt_span_str(base64), in, sizeof in, &in_nbytes))
        die("in is no base64");
    struct kt_kms_call call = {.op = op_of(client_text(step, "op")),
                               .account = client_account(step),
                               .master_key = client_document(step, "masterKey"),
                               .source = client_document(step, "source"),
                               .in = kt_span_of(in, in_nbytes),
                               .out = out,
                               .out_capacity = sizeof out};
    client_submit(&call);
    if (client_number(step, "cancelAfterMs", 0)) {
        usleep((unsigned)client_number(step, "cancelAfterMs", 0) * 1000);
        kt_kms_cancel_all(loop);
    }
    client_wait();
    put_call(result, &call);
}

static void put_stats(bson_t *output)
{
    struct kt_kms_stats stats;
    bson_t child;
    kt_kms_stats(loop, &stats);
    BSON_APPEND_DOCUMENT_BEGIN(output, "stats", &child);
    BSON_APPEND_INT64(&child, "calls", (int64_t)stats.calls);
    BSON_APPEND_INT64(&child, "failed", (int64_t)stats.failed);
    BSON_APPEND_INT64(&child, "requests", (int64_t)stats.requests);
    BSON_APPEND_INT64(&child, "retries", (int64_t)stats.retries);
    BSON_APPEND_INT64(&child, "throttled", (int64_t)stats.throttled);
    BSON_APPEND_INT64(&child, "tokens", (int64_t)stats.tokens);
    BSON_APPEND_DOUBLE(&child, "p50Ms", stats.p50_ms);
    BSON_APPEND_DOUBLE(&child, "p99Ms", stats.p99_ms);
    BSON_APPEND_INT32(&child, "supplied", (int32_t)supplied_count);
    BSON_APPEND_INT32(&child, "batched", (int32_t)stats.batched);
    BSON_APPEND_INT32(&child, "inFlight", (int32_t)stats.in_flight);
    BSON_APPEND_INT64(&child, "lockedFree", (int64_t)kt_secmem_available(secmem));
    bson_append_document_end(output, &child);
}

/* "supplied": {"credentials": {}, "ms": N, "firstMs": N} plays the embedding program's callback. */
static bool supply(void *context, const char *account_id, struct kt_span *credentials,
                   int64_t *expires_utc_ms)
{
    bson_iter_t it;
    (void)account_id;
    if (!bson_iter_init_find(&it, context, "supplied"))
        return false;
    supplied_count++;
    *credentials = client_document(&it, "credentials");
    int64_t ms = client_number(&it, "ms", 3600000);
    *expires_utc_ms = kt_clock_utc_ms() + (supplied_count == 1 ? client_number(&it, "firstMs", ms) : ms);
    return true;
}

static void open_loop(const bson_t *input)
{
    static struct kt_log log = {KT_LOG_DEBUG, log_line, NULL};
    struct kt_kms_options options = {.secmem = secmem,
                                     .log = &log,
                                     .credentials = supply,
                                     .credentials_context = (void *)(uintptr_t)input};
    struct kt_error err;
    int64_t n;
    if (kt_doc_number(input, "options.concurrency", &n))
        options.concurrency = (uint32_t)n;
    if (kt_doc_number(input, "options.rate", &n))
        options.rate = (double)n;
    if (kt_doc_number(input, "options.queueMax", &n))
        options.queue_max = (uint32_t)n;
    if (kt_doc_number(input, "options.attemptMs", &n))
        options.attempt_ms = (uint32_t)n;
    if (kt_doc_number(input, "options.deadlineMs", &n))
        options.deadline_ms = (uint32_t)n;
    if (kt_kms_open(&loop, &options, &err) != KT_OK)
        die(err.message);
}

static void run_steps(const bson_t *input, bson_t *output)
{
    bson_iter_t it, step;
    bson_t results, result;
    char key[16];
    int i = 0;
    BSON_APPEND_ARRAY_BEGIN(output, "steps", &results);
    if (bson_iter_init_find(&it, input, "steps") && bson_iter_recurse(&it, &step))
        while (bson_iter_next(&step)) {
            const char *what = client_text(&step, "do");
            snprintf(key, sizeof key, "%d", i++);
            BSON_APPEND_DOCUMENT_BEGIN(&results, key, &result);
            if (strcmp(what, "call") == 0)
                do_call(&step, &result);
            else if (strcmp(what, "load") == 0)
                client_load(&step, &result);
            else
                usleep((unsigned)client_number(&step, "ms", 0) * 1000);
            bson_append_document_end(&results, &result);
        }
    bson_append_array_end(output, &results);
}

int main(void)
{
    struct kt_error err;
    bson_t output = BSON_INITIALIZER;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (kt_secmem_open(&secmem, &err) != KT_OK)
        die(err.message);
    bson_t *input = read_input();
    read_accounts(input);
    size_t before = kt_secmem_available(secmem);
    open_loop(input);
    run_steps(input, &output);
    put_stats(&output);
    kt_kms_close(loop);
    /* What the loop took from locked memory, it has given back. */
    BSON_APPEND_BOOL(&output, "clean", kt_secmem_available(secmem) == before);
    char *json = bson_as_relaxed_extended_json(&output, NULL);
    puts(json);
    bson_free(json);
    bson_destroy(&output);
    bson_destroy(input);
    kt_secmem_close(secmem);
    curl_global_cleanup();
    return 0;
}
