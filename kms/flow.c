/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "common/clock.h"
#include "kms/loop.h"

#define MS 1000000u
#define EXPIRED_MAX 4 /* refusals of tokens, each fresher than the last, before they are believed */
#define GARBAGE_MAX 8 /* replies in a row that nobody can read */

static uint64_t next_random(struct kt_kms_loop *loop)
{
    /* xorshift64: only spreads retries. */
    loop->random ^= loop->random << 13;
    loop->random ^= loop->random >> 7;
    loop->random ^= loop->random << 17;
    return loop->random;
}

void kt_flow_end(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    if (call->error.status == KT_OK)
        call->reason = KT_KMS_R_NONE;
    call->nanoseconds = call->loop.started_ns ? kt_clock_ns() - call->loop.started_ns : 0;
    if (kt_call_internal(call)) {
        kt_asset_settle(loop, call->loop.asset);
        return;
    }
    kt_figures_end(loop, call);
    call->done(call);
}

static void end_ok(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    call->error.status = KT_OK;
    kt_flow_end(loop, call);
}

static void end_no_memory(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    call->reason = KT_KMS_R_NETWORK;
    kt_fail(&call->error, KT_E_NOMEM, "memory ran out");
    kt_flow_end(loop, call);
}

static void enqueue(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_account *account,
                    const struct kt_cmk *cmk)
{
    char name[1024];
    struct kt_bucket *bucket = NULL;
    bool token = (int)call->op == KT_KMS_I_TOKEN;
    if (kt_step_bucket(call, account, cmk, name, sizeof name))
        bucket = kt_loop_bucket(loop, name, token ? 0 : loop->options.rate);
    if (!bucket) {
        end_no_memory(loop, call);
        return;
    }
    call->loop.bucket = bucket;
    if (call->attempts)
        kt_list_push_front(&bucket->queue, call);
    else
        kt_list_push(&bucket->queue, call);
}

void kt_flow_advance(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    struct kt_account *account = kt_loop_account(loop, call->account);
    struct kt_cmk cmk;
    if (!account) {
        end_no_memory(loop, call);
        return;
    }
    enum kt_verdict verdict = kt_step_check(call, account, &cmk);
    if (verdict == KT_V_SEND)
        verdict = kt_step_local(loop, call, account, &cmk);
    if (verdict == KT_V_SEND)
        enqueue(loop, call, account, &cmk);
    else if (verdict == KT_V_DONE)
        end_ok(loop, call);
    else if (verdict != KT_V_NEXT)
        kt_flow_end(loop, call);
}

void kt_flow_admit(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    memset(&call->loop, 0, sizeof call->loop);
    call->attempts = call->out_nbytes = 0;
    call->reason = KT_KMS_R_NONE;
    call->error.status = KT_OK;
    call->error.message[0] = 0;
    kt_flow_advance(loop, call);
}

/* Past its deadline. Where the service has been away for as long as a call may take, what waits behind it
 * need not find out one by one. */
static void give_up(struct kt_kms_loop *loop, struct kt_bucket *bucket, struct kt_kms_call *why,
                    uint64_t now_ns)
{
    uint64_t limit_ns = (uint64_t)loop->options.deadline_ms * MS;
    struct kt_error error = why->error;
    enum kt_kms_reason reason = why->reason;
    struct kt_call_list queue = {0};
    if (bucket->failing_ns && now_ns - bucket->failing_ns >= limit_ns)
        kt_list_move(&bucket->queue, &queue);
    kt_flow_end(loop, why);
    for (struct kt_kms_call *call; (call = kt_list_pop(&queue));) {
        call->error = error;
        call->reason = reason;
        kt_flow_end(loop, call);
    }
}

static void repeat(struct kt_kms_loop *loop, struct kt_kms_call *call)
{
    struct kt_bucket *bucket = call->loop.bucket;
    uint64_t now_ns = kt_clock_ns(), limit_ns = (uint64_t)loop->options.deadline_ms * MS;
    call->loop.due_ns = now_ns + kt_pace_backoff_ns(call->loop.faults++, next_random(loop));
    bool late = call->loop.due_ns > call->loop.started_ns + limit_ns;
    bool hopeless = call->loop.garbage >= GARBAGE_MAX;
    if (!late && !hopeless) {
        if (!kt_delay_add(loop, call))
            end_no_memory(loop, call);
        return;
    }
    if (late)
        give_up(loop, bucket, call, now_ns);
    else
        kt_flow_end(loop, call);
}

/* The service does not take our token: once more with a fresh one, unless there is none to be had. */
static void renew(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_slot *slot)
{
    struct kt_asset *token = slot->token;
    bool renewable = token && token->renewable;
    if (token)
        kt_asset_expire(token, slot->generation);
    if (renewable && call->loop.expired++ < EXPIRED_MAX)
        repeat(loop, call);
    else
        kt_flow_end(loop, call);
}

static void settle(struct kt_kms_loop *loop, struct kt_kms_call *call, struct kt_slot *slot,
                   enum kt_verdict verdict)
{
    bool garbage = verdict == KT_V_FAULT && call->reason == KT_KMS_R_REPLY;
    call->loop.garbage = garbage ? call->loop.garbage + 1 : 0;
    switch (verdict) {
    case KT_V_DONE:
        end_ok(loop, call);
        break;
    case KT_V_NEXT:
        kt_flow_advance(loop, call);
        break;
    case KT_V_FAULT:
    case KT_V_THROTTLED:
        repeat(loop, call);
        break;
    case KT_V_EXPIRED:
        renew(loop, call, slot);
        break;
    default:
        kt_flow_end(loop, call);
    }
}

static void note(struct kt_slot *slot, enum kt_verdict verdict)
{
    struct kt_kms_loop *loop = slot->loop;
    struct kt_bucket *bucket = slot->bucket;
    uint64_t now_ns = kt_clock_ns(), latency_ns = now_ns - slot->sent_ns;
    enum kt_pace_outcome outcome = verdict == KT_V_THROTTLED ? KT_PACE_THROTTLED
                                   : verdict == KT_V_FAULT   ? KT_PACE_FAULT
                                                             : KT_PACE_OK;
    if (outcome != KT_PACE_FAULT)
        bucket->failing_ns = 0;
    else if (!bucket->failing_ns)
        bucket->failing_ns = now_ns;
    kt_pace_result(&bucket->pace, now_ns, outcome, latency_ns,
                   (uint64_t)slot->transfer.x.retry_after_ms * MS);
    kt_figures_request(loop, slot->call, verdict == KT_V_THROTTLED, latency_ns);
    if (bucket->pool)
        kt_figures_batched(loop, kt_kmip_batched(bucket->pool));
}

static void on_finished(struct kt_transfer *transfer)
{
    struct kt_slot *slot = (struct kt_slot *)transfer;
    struct kt_kms_loop *loop = slot->loop;
    struct kt_kms_call *call = slot->call;
    struct kt_account *account = kt_loop_account(loop, call->account);
    struct kt_cmk cmk;
    enum kt_verdict verdict = account ? kt_step_check(call, account, &cmk) : KT_V_FINAL;
    if (verdict == KT_V_SEND)
        verdict = kt_step_parse(call, slot, &cmk);
    note(slot, verdict);
    if (verdict == KT_V_FAULT || verdict == KT_V_THROTTLED || verdict == KT_V_EXPIRED)
        kt_log(loop->options.log, KT_LOG_DEBUG, "repeating: %s", call->error.message);
    struct kt_slot was = {.token = slot->token, .generation = slot->generation};
    kt_slot_free(slot);
    settle(loop, call, &was, verdict);
}

static void send_call(struct kt_kms_loop *loop, struct kt_bucket *bucket, struct kt_kms_call *call,
                      struct kt_account *account, const struct kt_cmk *cmk, struct kt_asset *token,
                      struct kt_slot *slot)
{
    slot->call = call;
    slot->bucket = bucket;
    slot->token = token;
    slot->generation = token ? token->generation : 0;
    if (!call->loop.started_ns)
        call->loop.started_ns = kt_clock_ns();
    enum kt_verdict verdict = kt_step_build(loop, call, slot, cmk);
    if (verdict == KT_V_SEND && !kt_slot_send(loop, slot, account, cmk))
        verdict = kt_verdict_say(call, KT_V_FAULT, KT_KMS_R_NETWORK, "memory ran out");
    if (verdict == KT_V_SEND) {
        call->attempts++;
        kt_pace_sent(&bucket->pace);
        pthread_mutex_lock(&loop->lock);
        loop->stats.in_flight++;
        pthread_mutex_unlock(&loop->lock);
        return;
    }
    struct kt_slot was = {.token = token, .generation = slot->generation};
    kt_slot_free(slot);
    settle(loop, call, &was, verdict);
}

/* True: the call has left the queue, whatever became of it. */
static bool dispatch(struct kt_kms_loop *loop, struct kt_bucket *bucket)
{
    struct kt_kms_call *call = bucket->queue.first;
    struct kt_account *account = kt_loop_account(loop, call->account);
    struct kt_cmk cmk;
    bool none = true;
    if (!account || kt_step_check(call, account, &cmk) != KT_V_SEND) {
        kt_list_pop(&bucket->queue);
        kt_flow_end(loop, call);
        return true;
    }
    struct kt_asset *token = kt_step_token(loop, call, account, &cmk, &none);
    struct kt_slot *slot = kt_slot_take(loop, on_finished);
    if (!slot)
        return false;
    kt_list_pop(&bucket->queue);
    enum kt_asset_state state = none    ? KT_ASSET_READY
                                : token ? kt_asset_need(loop, token, call)
                                        : KT_ASSET_FAILED;
    if (state == KT_ASSET_READY) {
        send_call(loop, bucket, call, account, &cmk, token, slot);
        return true;
    }
    kt_slot_free(slot);
    if (state == KT_ASSET_FAILED) {
        call->error = token ? token->error : (struct kt_error){KT_E_NOMEM, "memory ran out"};
        call->reason = token ? token->reason : KT_KMS_R_NETWORK;
        kt_flow_end(loop, call);
    }
    return true;
}

static uint64_t deadline_ns(const struct kt_kms_loop *loop, const struct kt_kms_call *call)
{
    return call->loop.started_ns ? call->loop.started_ns + (uint64_t)loop->options.deadline_ms * MS
                                 : UINT64_MAX;
}

/* Calls that were sent once stand in front, and a pause that the service asks for may outlast them. */
static void expire_queued(struct kt_kms_loop *loop, struct kt_bucket *bucket, uint64_t now_ns)
{
    while (bucket->queue.first && deadline_ns(loop, bucket->queue.first) <= now_ns) {
        struct kt_kms_call *call = kt_list_pop(&bucket->queue);
        if (call->error.status != KT_E_NET)
            kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_NETWORK, "no request could be sent in time");
        give_up(loop, bucket, call, now_ns);
    }
}

uint64_t kt_flow_pump(struct kt_kms_loop *loop, uint64_t now_ns)
{
    uint64_t wake_ns = kt_slots_expire(loop, now_ns), due_ns;
    for (struct kt_kms_call *call; (call = kt_delay_take(loop, now_ns));)
        kt_flow_advance(loop, call);
    for (struct kt_bucket *b = loop->buckets; b; b = b->next)
        expire_queued(loop, b, now_ns);
    /* Buckets take turns, so that a slow one does not hold every slot. */
    for (bool more = true; more;) {
        more = false;
        for (struct kt_bucket *b = loop->buckets; b; b = b->next) {
            if (!b->queue.first || !kt_pace_may_send(&b->pace, now_ns, &due_ns))
                continue;
            more |= dispatch(loop, b);
        }
    }
    for (struct kt_bucket *b = loop->buckets; b; b = b->next) {
        if (b->pool)
            kt_kmip_pump(b->pool, now_ns);
        if (b->queue.first && !kt_pace_may_send(&b->pace, now_ns, &due_ns) && due_ns < wake_ns)
            wake_ns = due_ns;
        if (b->queue.first && deadline_ns(loop, b->queue.first) < wake_ns)
            wake_ns = deadline_ns(loop, b->queue.first);
        if (b->pool && kt_kmip_due_ns(b->pool) < wake_ns)
            wake_ns = kt_kmip_due_ns(b->pool);
    }
    due_ns = kt_delay_due_ns(loop);
    return due_ns < wake_ns ? due_ns : wake_ns;
}

void kt_flow_cancel(struct kt_kms_loop *loop)
{
    struct kt_call_list all = {0};
    for (struct kt_kms_call *call; (call = kt_delay_take(loop, UINT64_MAX));)
        kt_list_push(&all, call);
    kt_slots_drop(loop, &all);
    for (struct kt_asset *a = loop->assets; a; a = a->next)
        kt_asset_cancel(a, &all);
    for (struct kt_kms_call *call; (call = kt_list_pop(&all));)
        if (!kt_call_internal(call)) {
            kt_verdict_say(call, KT_V_FINAL, KT_KMS_R_STOPPED, "stopped by request");
            kt_flow_end(loop, call);
        }
}
