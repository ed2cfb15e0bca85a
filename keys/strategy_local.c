/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/strategy.h"

/* DEKs that go through the engine at once: enough to fill its lanes, few enough for the stack and for the
 * smallest pool of locked memory. */
#define RUN_MAX 128
/* Opening may store whole blocks behind a DEK. */
#define ROOM_NBYTES (KT_WRAPPED_NBYTES - 48)

struct run {
    struct kt_msg msgs[RUN_MAX];
    struct kt_wrap_item *items[RUN_MAX];
    uint8_t wrapped[RUN_MAX * KT_WRAPPED_NBYTES];
    uint8_t *deks; /* locked */
    size_t count, capacity;
};

/* Puts one item into a run; a run through the engine, and its results into the items. */
typedef void (*add_fn)(struct run *run, struct kt_wrap_item *item);
typedef enum kt_status (*end_fn)(struct run *run, struct kt_engine *engine, const struct kt_key *key);

static bool find_room(struct run *run, const struct kt_wrap_batch *batch)
{
    run->capacity = batch->count < RUN_MAX ? batch->count : RUN_MAX;
    for (; run->capacity; run->capacity /= 2) {
        run->deks = kt_secmem_alloc(batch->provider->secmem, run->capacity * ROOM_NBYTES);
        if (run->deks)
            return true;
    }
    return batch->count == 0;
}

static void set(struct kt_wrap_item *item, enum kt_status status, const char *reason)
{
    item->status = status;
    item->reason = reason;
}

static void opened(struct run *run, size_t i)
{
    struct kt_wrap_item *item = run->items[i];
    const struct kt_msg *msg = &run->msgs[i];
    if (msg->status != KT_OK) {
        set(item, KT_E_UNAUTHENTIC, "the local master key is another one, or keyMaterial was changed");
    } else if (msg->out_nbytes != KT_DEK_NBYTES) {
        set(item, KT_E_KEY, "what was wrapped is not 96 bytes long");
    } else {
        memcpy(item->dek, run->deks + msg->out, KT_DEK_NBYTES);
        set(item, KT_OK, NULL);
    }
}

static enum kt_status open_run(struct run *run, struct kt_engine *engine, const struct kt_key *key)
{
    struct kt_batch batch = {.in = run->wrapped,
                             .in_nbytes = sizeof run->wrapped,
                             .out = run->deks,
                             .out_nbytes = run->capacity * ROOM_NBYTES,
                             .keys = &key,
                             .keys_count = 1,
                             .msgs = run->msgs,
                             .msgs_count = run->count};
    enum kt_status status = kt_open(engine, &batch);
    if (status != KT_OK && status != KT_E_ITEM)
        return status;
    for (size_t i = 0; i < run->count; i++)
        opened(run, i);
    kt_wipe(run->deks, run->count * ROOM_NBYTES);
    run->count = 0;
    return KT_OK;
}

static void add_wrapped(struct run *run, struct kt_wrap_item *item)
{
    if (item->wrapped.nbytes != KT_WRAPPED_NBYTES) {
        set(item, KT_E_KEY, "keyMaterial must be 160 bytes");
        return;
    }
    size_t i = run->count++;
    run->items[i] = item;
    run->msgs[i] = (struct kt_msg){.in = (uint32_t)(i * KT_WRAPPED_NBYTES),
                                   .in_nbytes = KT_WRAPPED_NBYTES,
                                   .out = (uint32_t)(i * ROOM_NBYTES)};
    memcpy(run->wrapped + run->msgs[i].in, item->wrapped.data, KT_WRAPPED_NBYTES);
}

static enum kt_status seal_run(struct run *run, struct kt_engine *engine, const struct kt_key *key)
{
    struct kt_batch batch = {.in = run->deks,
                             .in_nbytes = run->capacity * ROOM_NBYTES,
                             .out = run->wrapped,
                             .out_nbytes = sizeof run->wrapped,
                             .keys = &key,
                             .keys_count = 1,
                             .msgs = run->msgs,
                             .msgs_count = run->count};
    enum kt_status status = kt_seal(engine, &batch);
    if (status != KT_OK)
        return status == KT_E_ITEM ? KT_E_INTERNAL : status;
    for (size_t i = 0; i < run->count; i++) {
        memcpy(run->items[i]->made, run->wrapped + run->msgs[i].out, KT_WRAPPED_NBYTES);
        run->items[i]->made_nbytes = KT_WRAPPED_NBYTES;
        set(run->items[i], KT_OK, NULL);
    }
    run->count = 0;
    return KT_OK;
}

static void add_dek(struct run *run, struct kt_wrap_item *item)
{
    if (item->made_capacity < KT_WRAPPED_NBYTES) {
        set(item, KT_E_INTERNAL, "no room for a wrapped DEK");
        return;
    }
    size_t i = run->count++;
    run->items[i] = item;
    run->msgs[i] = (struct kt_msg){.in = (uint32_t)(i * ROOM_NBYTES),
                                   .in_nbytes = KT_DEK_NBYTES,
                                   .out = (uint32_t)(i * KT_WRAPPED_NBYTES),
                                   .mode = KT_MODE_RANDOM};
    memcpy(run->deks + run->msgs[i].in, item->dek, KT_DEK_NBYTES);
}

/* A batch in as few runs as locked memory allows. */
static enum kt_status in_runs(struct kt_wrap_batch *batch, struct kt_engine *engine, add_fn add, end_fn end)
{
    struct run run;
    run.count = 0;
    if (!find_room(&run, batch))
        return KT_E_NOMEM;
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < batch->count && status == KT_OK; i++) {
        add(&run, &batch->items[i]);
        if (run.count == run.capacity || i + 1 == batch->count)
            status = end(&run, engine, batch->provider->local);
    }
    if (batch->count)
        kt_secmem_free(batch->provider->secmem, run.deks);
    if (status == KT_OK)
        batch->done(batch);
    return status;
}

static enum kt_status unwrap_local(const struct kt_strategy *strategy, struct kt_engine *engine,
                                   struct kt_wrap_batch *batch)
{
    (void)strategy;
    return in_runs(batch, engine, add_wrapped, open_run);
}

static enum kt_status wrap_local(const struct kt_strategy *strategy, struct kt_engine *engine,
                                 struct kt_wrap_batch *batch)
{
    (void)strategy;
    return in_runs(batch, engine, add_dek, seal_run);
}

const struct kt_strategy kt_strategy_local = {
    .name = "local", .wrapped_nbytes_max = KT_WRAPPED_NBYTES, .unwrap = unwrap_local, .wrap = wrap_local};
