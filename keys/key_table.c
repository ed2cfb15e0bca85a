/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/key_table.h"

#include <stdlib.h>

#include "csfle/walk.h"
#include "keys/table_private.h"

/* Below this much locked memory the table takes fewer blocks, so that caches get some. */
#define SMALL_POOL_NBYTES ((size_t)1 << 20)

static enum kt_status take_blocks(struct kt_key_table *table)
{
    struct kt_secmem *secmem = table->options.secmem;
    size_t wanted = kt_secmem_size(secmem) < SMALL_POOL_NBYTES ? KT_FLIGHTS_SMALL_POOL : KT_FLIGHTS;
    for (size_t i = 0; i < wanted; i++) {
        uint8_t *block = kt_secmem_alloc(secmem, KT_FLIGHT_MAX * KT_DEK_NBYTES);
        if (!block)
            break;
        table->blocks[table->blocks_count++] = block;
        table->idle[table->idle_count++] = block;
    }
    return table->blocks_count ? KT_OK : KT_E_NOMEM;
}

enum kt_status kt_key_table_new(struct kt_key_table **out, const struct kt_key_table_options *options,
                                struct kt_engine *engine, struct kt_error *err)
{
    *out = NULL;
    struct kt_key_table *table = calloc(1, sizeof *table);
    if (!table)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    table->options = *options;
    table->failures.item_nbytes = sizeof(struct kt_failure);
    table->waiting_free = KT_NONE;
    table->line_end = &table->line;
    pthread_mutex_init(&table->lock, NULL);
    pthread_mutex_init(&table->own_lock, NULL);
    enum kt_status status = kt_handles_init(&table->handles);
    if (status == KT_OK)
        status = kt_resting_init(&table->resting, options->secmem, engine);
    if (status == KT_OK)
        status = take_blocks(table);
    if (status != KT_OK) {
        kt_key_table_free(table);
        return kt_fail(err, status,
                       status == KT_E_NOMEM
                           ? "no locked memory is left for the key table; raise the limit (ulimit -l)"
                           : "the system gave no random bytes for the key table");
    }
    *out = table;
    return KT_OK;
}

void kt_key_table_free(struct kt_key_table *table)
{
    if (!table)
        return;
    kt_flights_free(table->line);
    for (size_t i = 0; i < table->blocks_count; i++)
        kt_secmem_free(table->options.secmem, table->blocks[i]);
    for (uint32_t i = 0; i < table->failures.count; i++) {
        struct kt_failure *failure = kt_chunks_at(&table->failures, i);
        if (failure->owned)
            free((void *)failure->why);
    }
    kt_chunks_free(&table->failures);
    kt_resting_cleanup(&table->resting);
    kt_handles_cleanup(&table->handles);
    kt_engine_close(table->own);
    free(table->waiting);
    pthread_mutex_destroy(&table->own_lock);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static enum kt_status handle_of(struct kt_key_table *table, struct kt_span key, bool is_name,
                                uint32_t *handle)
{
    *handle = kt_handles_find(&table->handles, key, is_name);
    if (*handle != KT_NONE)
        return KT_OK;
    enum kt_status status = KT_OK;
    pthread_mutex_lock(&table->lock);
    *handle = kt_handles_find(&table->handles, key, is_name);
    if (*handle == KT_NONE)
        status = kt_handles_add(&table->handles, key, is_name, handle);
    pthread_mutex_unlock(&table->lock);
    return status;
}

enum kt_status kt_key_table_by_id(struct kt_key_table *table, const uint8_t id[16], uint32_t *handle)
{
    return handle_of(table, kt_span_of(id, 16), false, handle);
}

enum kt_status kt_key_table_by_name(struct kt_key_table *table, struct kt_span name, uint32_t *handle)
{
    return handle_of(table, name, true, handle);
}

enum kt_key_state kt_key_table_state(const struct kt_key_table *table, uint32_t handle)
{
    const struct kt_handle *record = kt_handle_at(&table->handles, handle);
    uint8_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    if (state != KT_KEY_LINKED)
        return (enum kt_key_state)state;
    record = kt_handle_at(&table->handles, record->by_name.key);
    return (enum kt_key_state)atomic_load_explicit(&record->state, memory_order_acquire);
}

/* The record of the key itself; NULL for a name without one. */
static struct kt_handle *key_record(const struct kt_key_table *table, uint32_t *handle)
{
    struct kt_handle *record = kt_handle_at(&table->handles, *handle);
    if (!record->is_name)
        return record;
    if (atomic_load_explicit(&record->state, memory_order_acquire) != KT_KEY_LINKED)
        return NULL;
    *handle = record->by_name.key;
    return kt_handle_at(&table->handles, *handle);
}

uint32_t kt_key_table_key(const struct kt_key_table *table, uint32_t handle)
{
    const struct kt_handle *record = key_record(table, &handle);
    bool failed = !record || atomic_load_explicit(&record->state, memory_order_acquire) == KT_KEY_FAILED;
    return failed ? KT_NO_KEY : handle;
}

const uint8_t *kt_key_table_id(const struct kt_key_table *table, uint32_t handle)
{
    const struct kt_handle *record = key_record(table, &handle);
    return record ? record->id : NULL;
}

bool kt_table_resting(const struct kt_key_table *table, uint32_t handle, uint32_t *at)
{
    const struct kt_handle *record = key_record(table, &handle);
    if (!record || atomic_load_explicit(&record->state, memory_order_acquire) != KT_KEY_READY)
        return false;
    *at = record->at;
    return true;
}

struct kt_key_waiter *kt_table_publish(struct kt_key_table *table, uint32_t handle, uint32_t at,
                                       uint8_t state)
{
    struct kt_handle *record = kt_handle_at(&table->handles, handle);
    bool had_waiters = !record->is_name && !(record->flags & KT_HANDLE_FRESH);
    uint32_t node = had_waiters ? record->at : KT_NONE;
    struct kt_key_waiter *ready = NULL;
    record->flags = 0;
    record->at = at;
    atomic_store_explicit(&record->state, state, memory_order_release);
    while (node != KT_NONE) {
        struct kt_waiting *waiting = &table->waiting[node];
        uint32_t next = waiting->next;
        if (--waiting->waiter->open == 0) {
            waiting->waiter->next = ready;
            ready = waiting->waiter;
        }
        waiting->next = table->waiting_free;
        table->waiting_free = node;
        node = next;
    }
    return ready;
}

void kt_waiters_call(struct kt_key_waiter *ready)
{
    while (ready) {
        struct kt_key_waiter *next = ready->next;
        ready->ready(ready);
        ready = next;
    }
}

static bool reserve_waiting(struct kt_key_table *table, size_t count)
{
    if (count > UINT32_MAX / 2 - table->waiting_count)
        return false;
    struct kt_waiting *more = realloc(table->waiting, (table->waiting_count + count) * sizeof *more);
    if (!more)
        return false;
    table->waiting = more;
    for (size_t i = 0; i < count; i++) {
        more[table->waiting_count].next = table->waiting_free;
        table->waiting_free = table->waiting_count++;
    }
    return true;
}

/* Under the lock: handles whose key is still on its way. wait: hang the waiter on each of them. */
static size_t still_asked(struct kt_key_table *table, const uint32_t *handles, size_t count,
                          struct kt_key_waiter *wait)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t handle = handles[i];
        struct kt_handle *record = key_record(table, &handle);
        if (!record || atomic_load(&record->state) != KT_KEY_ASKED)
            continue;
        n++;
        if (!wait)
            continue;
        uint32_t node = table->waiting_free;
        table->waiting_free = table->waiting[node].next;
        table->waiting[node] = (struct kt_waiting){wait, record->at};
        record->at = node;
    }
    return n;
}

static enum kt_status park(struct kt_key_table *table, const uint32_t *handles, size_t count,
                           struct kt_key_waiter *waiter, bool *settled)
{
    size_t n = still_asked(table, handles, count, NULL);
    *settled = n == 0;
    if (n == 0 || !waiter)
        return KT_OK;
    size_t room = 0;
    for (uint32_t node = table->waiting_free; node != KT_NONE && room < n; node = table->waiting[node].next)
        room++;
    if (room < n && !reserve_waiting(table, n - room))
        return KT_E_NOMEM;
    waiter->open = still_asked(table, handles, count, waiter);
    return KT_OK;
}

static bool all_settled(const struct kt_key_table *table, const uint32_t *handles, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kt_key_table_state(table, handles[i]) < KT_KEY_READY)
            return false;
    return true;
}

enum kt_status kt_key_table_settle(struct kt_key_table *table, struct kt_engine *engine,
                                   const uint32_t *handles, size_t count, struct kt_key_waiter *waiter,
                                   bool *settled, struct kt_error *err)
{
    struct kt_flight *flights;
    *settled = all_settled(table, handles, count);
    if (*settled)
        return KT_OK;
    pthread_mutex_lock(&table->lock);
    enum kt_status status = kt_table_look_up(table, handles, count, &flights, err);
    pthread_mutex_unlock(&table->lock);
    if (status != KT_OK)
        return status;
    kt_flights_start(table, engine, flights);
    pthread_mutex_lock(&table->lock);
    status = park(table, handles, count, waiter, settled);
    pthread_mutex_unlock(&table->lock);
    return status == KT_OK ? KT_OK : kt_fail(err, status, "memory ran out while a batch waited for keys");
}
