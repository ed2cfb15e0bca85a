/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the event loop. All of it belongs to the loop's thread, except the inbox and the figures, which the
 * lock guards.
 *
 * A call's way: inbox -> admit -> [waits for what is fetched once: a key, a token] -> bucket's queue ->
 * request in a slot -> judged -> done, or the delay heap and again. */
#ifndef KT_KMS_LOOP_H
#define KT_KMS_LOOP_H

#include <openssl/evp.h>
#include <pthread.h>

#include "kms/cmk.h"
#include "kms/credentials.h"
#include "kms/http.h"
#include "kms/kmip_pool.h"
#include "kms/pacing.h"

/* Calls that the loop makes for itself; values beyond enum kt_kms_op. */
enum { KT_KMS_I_TOKEN = 100, KT_KMS_I_AZURE_KEY, KT_KMS_I_AZURE_VERSIONS, KT_KMS_I_KMIP_KEK };

struct kt_call_list {
    struct kt_kms_call *first, *last;
    uint32_t count;
};

struct kt_account {
    struct kt_account *next;
    const struct kt_kms_account *config;
    struct kt_tls tls;
    char endpoint[404];  /* KMIP: host[:port], empty: none */
    struct kt_error bad; /* status KT_OK: usable */
};

/* What shares a quota, and for KMIP a set of connections. */
struct kt_bucket {
    struct kt_bucket *next;
    struct kt_pace pace;
    struct kt_call_list queue;
    uint64_t failing_ns; /* since when nothing but faults; 0: not */
    struct kt_kmip_pool *pool;
    char name[];
};

enum kt_asset_kind { KT_ASSET_TOKEN, KT_ASSET_AZURE_KEY, KT_ASSET_AZURE_VERSIONS, KT_ASSET_KMIP_KEK };
enum kt_asset_state { KT_ASSET_EMPTY, KT_ASSET_FETCHING, KT_ASSET_READY, KT_ASSET_FAILED };

/* Something fetched once that many calls need. */
struct kt_asset {
    struct kt_asset *next;
    enum kt_asset_kind kind;
    enum kt_asset_state state;
    struct kt_account *account;
    struct kt_kms_call fetch;
    bool fetching, renewable; /* renewable: fetched again it may be another one */
    struct kt_call_list waiting;
    uint32_t generation;
    uint64_t failed_ns;
    struct kt_error error; /* FAILED */
    enum kt_kms_reason reason;
    struct kt_buf master_key; /* the fetch's */
    struct kt_cred cred;      /* TOKEN */
    struct kt_token token, fresh;
    struct kt_secbuf supplied; /* the callback's document */
    int64_t supplied_until_ms;
    EVP_PKEY *public_key;            /* AZURE_KEY */
    struct kt_secbuf versions, link; /* AZURE_VERSIONS */
    uint8_t *kek;                    /* KMIP_KEK */
    char name[];
};

struct kt_slot {
    struct kt_transfer transfer; /* first: a finished transfer is its slot */
    struct kt_kms_loop *loop;
    struct kt_kms_call *call; /* NULL: free */
    struct kt_bucket *bucket;
    struct kt_asset *token;
    uint32_t generation;
    uint64_t sent_ns;
    struct kt_slot *next_free;
};

#define KT_HISTOGRAM 400

struct kt_kms_loop {
    struct kt_kms_options options;
    pthread_t thread;
    int epoll_fd, wake_fd;
    struct kt_poll_source wake;
    struct kt_http *http;

    pthread_mutex_t lock;
    struct kt_call_list inbox;
    bool closing, cancel;
    bool curl_ready;
    uint32_t open_calls;
    struct kt_kms_stats stats;
    uint32_t histogram[KT_HISTOGRAM];

    struct kt_account *accounts;
    struct kt_bucket *buckets;
    struct kt_asset *assets;
    struct kt_slot **slots;
    uint32_t slots_count, slots_max;
    struct kt_slot *free_slots;
    uint64_t look_ns;             /* for late slots */
    struct kt_kms_call **delayed; /* heap by loop.due_ns */
    size_t delayed_count, delayed_capacity;
    uint64_t random;
};

/* lists.c */
void kt_list_push(struct kt_call_list *list, struct kt_kms_call *call);
void kt_list_push_front(struct kt_call_list *list, struct kt_kms_call *call);
struct kt_kms_call *kt_list_pop(struct kt_call_list *list);
void kt_list_move(struct kt_call_list *from, struct kt_call_list *to);
/* False: memory ran out. */
bool kt_delay_add(struct kt_kms_loop *loop, struct kt_kms_call *call);
/* The earliest call if it is due, else NULL. UINT64_MAX takes any. */
struct kt_kms_call *kt_delay_take(struct kt_kms_loop *loop, uint64_t now_ns);
uint64_t kt_delay_due_ns(const struct kt_kms_loop *loop);

/* registry.c: accounts, buckets and assets by name; NULL: memory ran out. */
struct kt_account *kt_loop_account(struct kt_kms_loop *loop, const struct kt_kms_account *config);
struct kt_bucket *kt_loop_bucket(struct kt_kms_loop *loop, const char *name, double rate);
struct kt_asset *kt_loop_asset(struct kt_kms_loop *loop, enum kt_asset_kind kind, struct kt_account *account,
                               const char *name, struct kt_span master_key);
void kt_loop_free_registry(struct kt_kms_loop *loop);
/* The account's endpoint for KMIP when the masterKey has none; NULL: none. */
const char *kt_account_endpoint(const struct kt_account *account, const struct kt_cmk *cmk);

/* asset.c */
/* READY: may be used. FAILED: asset->error. FETCHING: call waits and comes back through kt_flow_advance. */
enum kt_asset_state kt_asset_need(struct kt_kms_loop *loop, struct kt_asset *asset, struct kt_kms_call *call);
/* A token that a service has refused; generation: of the one that was sent. */
void kt_asset_expire(struct kt_asset *asset, uint32_t generation);
/* The end of an internal call. */
void kt_asset_settle(struct kt_kms_loop *loop, struct kt_asset *asset);
void kt_asset_cancel(struct kt_asset *asset, struct kt_call_list *out);

/* steps.c: what each operation of each provider needs before it asks. */
enum kt_verdict kt_step_check(struct kt_kms_call *call, struct kt_account *account, struct kt_cmk *cmk);
bool kt_step_bucket(struct kt_kms_call *call, struct kt_account *account, const struct kt_cmk *cmk, char *out,
                    size_t nbytes);
/* KT_V_SEND: needs a request; KT_V_NEXT: waits for an asset; KT_V_DONE, KT_V_FINAL: ended here. */
enum kt_verdict kt_step_local(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_account *account,
                              const struct kt_cmk *cmk);
/* The token that a call's requests carry; *none when they carry none; NULL: memory ran out. */
struct kt_asset *kt_step_token(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_account *account,
                               const struct kt_cmk *cmk, bool *none);
enum kt_verdict kt_step_no_memory(struct kt_kms_call *call);
const char *kt_step_version_at(const struct kt_asset *versions, uint32_t index);

/* step_requests.c */
enum kt_verdict kt_step_build(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_slot *slot,
                              const struct kt_cmk *cmk);
enum kt_verdict kt_step_parse(struct kt_kms_call *call, struct kt_slot *slot, const struct kt_cmk *cmk);

/* flow.c */
void kt_flow_admit(struct kt_kms_loop *loop, struct kt_kms_call *call);
void kt_flow_advance(struct kt_kms_loop *loop, struct kt_kms_call *call);
void kt_flow_end(struct kt_kms_loop *loop, struct kt_kms_call *call);
/* Sends what may be sent; returns when to come again. */
uint64_t kt_flow_pump(struct kt_kms_loop *loop, uint64_t now_ns);
void kt_flow_cancel(struct kt_kms_loop *loop);

/* slots.c */
/* NULL: concurrency's ceiling is reached, or memory ran out. */
struct kt_slot *kt_slot_take(struct kt_kms_loop *loop, void (*finished)(struct kt_transfer *transfer));
void kt_slot_free(struct kt_slot *slot);
/* False: memory ran out. */
bool kt_slot_send(struct kt_kms_loop *loop, struct kt_slot *slot, struct kt_account *account,
                  const struct kt_cmk *cmk);
/* Ends requests that libcurl should have ended and has not: it times only what it has begun. Returns when to
 * look again. */
uint64_t kt_slots_expire(struct kt_kms_loop *loop, uint64_t now_ns);
/* All calls that are under way or queued, without an answer. */
void kt_slots_drop(struct kt_kms_loop *loop, struct kt_call_list *out);
void kt_slots_free(struct kt_kms_loop *loop);

/* figures.c */
void kt_figures_request(struct kt_kms_loop *loop, const struct kt_kms_call *call, bool throttled,
                        uint64_t latency_ns);
void kt_figures_batched(struct kt_kms_loop *loop, uint32_t batched);
void kt_figures_end(struct kt_kms_loop *loop, const struct kt_kms_call *call);

static inline bool kt_call_internal(const struct kt_kms_call *call)
{
    return (int)call->op >= KT_KMS_I_TOKEN;
}

#endif
