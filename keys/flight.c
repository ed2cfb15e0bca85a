/* SPDX-License-Identifier: Apache-2.0 */
/* Unwraps on their way. A flight lands once: on the thread that started it when the strategy was done before
 * unwrap returned, else on the thread that calls done. */
#include <stdlib.h>

#include "keys/table_private.h"

static void done(struct kt_wrap_batch *batch);

void kt_flights_free(struct kt_flight *flights)
{
    while (flights) {
        struct kt_flight *next = flights->next;
        kt_buf_free(&flights->bytes);
        free(flights);
        flights = next;
    }
}

static void take_off(struct kt_flight *flight, uint8_t *block)
{
    const struct kt_key_table_options *options = &flight->table->options;
    flight->deks = block;
    for (size_t i = 0; i < flight->count; i++) {
        const uint8_t *bytes = flight->bytes.data;
        flight->items[i] = (struct kt_wrap_item){
            .wrapped =
                kt_span_of(bytes + flight->wrapped_at[i], flight->master_key_at[i] - flight->wrapped_at[i]),
            .master_key =
                kt_span_of(bytes + flight->master_key_at[i], flight->name_at[i] - flight->master_key_at[i]),
            .dek = block + i * KT_DEK_NBYTES,
            .status = KT_E_INTERNAL,
        };
        if (options->asked)
            options->asked(options->asked_context, flight->items[i].master_key);
    }
    flight->batch.items = flight->items;
    flight->batch.count = flight->count;
    flight->batch.done = done;
}

static struct kt_span name_of(const struct kt_flight *flight, size_t i)
{
    size_t end = i + 1 < flight->count ? flight->wrapped_at[i + 1] : flight->bytes.nbytes;
    return kt_span_of(flight->bytes.data + flight->name_at[i], end - flight->name_at[i]);
}

/* Under the lock. */
static struct kt_key_waiter *settle_item(struct kt_key_table *table, const struct kt_flight *flight, size_t i,
                                         const uint8_t *sealed)
{
    const struct kt_wrap_item *item = &flight->items[i];
    const struct kt_handle *record = kt_handle_at(&table->handles, flight->handles[i]);
    enum kt_status status = item->status;
    uint32_t at;
    if (record->flags & KT_HANDLE_AMBIGUOUS)
        status = KT_E_KEY;
    if (status == KT_OK)
        status = kt_resting_put(&table->resting, sealed, &at);
    if (status == KT_OK)
        return kt_table_publish(table, flight->handles[i], at, KT_KEY_READY);
    return kt_table_fail(table, flight->handles[i], status, kt_span_str(flight->batch.provider->id),
                         name_of(flight, i), item->status == KT_OK ? NULL : item->reason);
}

static struct kt_key_waiter *join(struct kt_key_waiter *a, struct kt_key_waiter *b)
{
    if (!a)
        return b;
    struct kt_key_waiter *end = a;
    while (end->next)
        end = end->next;
    end->next = b;
    return a;
}

static void all_failed(struct kt_flight *flight, enum kt_status status)
{
    for (size_t i = 0; i < flight->count; i++) {
        flight->items[i].status = status;
        flight->items[i].reason = NULL;
    }
}

/* Settles a flight's keys and frees it. Returns the next in line, which got its block. */
static struct kt_flight *land(struct kt_flight *flight, struct kt_engine *engine)
{
    struct kt_key_table *table = flight->table;
    uint8_t sealed[KT_FLIGHT_MAX * KT_WRAPPED_NBYTES];
    enum kt_status status =
        engine ? kt_resting_seal(&table->resting, engine, flight->deks, flight->count, sealed) : KT_E_NOMEM;
    kt_wipe(flight->deks, KT_FLIGHT_MAX * KT_DEK_NBYTES);
    if (status != KT_OK)
        all_failed(flight, status);
    struct kt_key_waiter *ready = NULL;
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < flight->count; i++)
        ready = join(settle_item(table, flight, i, sealed + i * KT_WRAPPED_NBYTES), ready);
    struct kt_flight *next = table->line;
    if (next) {
        table->line = next->next;
        if (!table->line)
            table->line_end = &table->line;
        next->next = NULL;
        take_off(next, flight->deks);
    } else {
        table->idle[table->idle_count++] = flight->deks;
    }
    pthread_mutex_unlock(&table->lock);
    kt_waiters_call(ready);
    kt_flights_free(flight);
    return next;
}

static void fly(struct kt_key_table *table, struct kt_engine *engine, struct kt_flight *flight)
{
    while (flight) {
        enum kt_status status = KT_E_NOMEM;
        if (engine)
            status = flight->strategy->unwrap(flight->strategy, engine, &flight->batch);
        if (status != KT_OK)
            all_failed(flight, status);
        pthread_mutex_lock(&table->lock);
        bool landed_here = status != KT_OK || flight->finished;
        flight->alone = !landed_here;
        pthread_mutex_unlock(&table->lock);
        flight = landed_here ? land(flight, engine) : NULL;
    }
}

static void done(struct kt_wrap_batch *batch)
{
    struct kt_flight *flight = (struct kt_flight *)(void *)batch;
    struct kt_key_table *table = flight->table;
    pthread_mutex_lock(&table->lock);
    flight->finished = true;
    bool alone = flight->alone;
    pthread_mutex_unlock(&table->lock);
    if (!alone)
        return;
    pthread_mutex_lock(&table->own_lock);
    if (!table->own &&
        kt_engine_open(&table->own, &(struct kt_engine_options){.backend = "scalar"}, NULL) != KT_OK)
        table->own = NULL;
    fly(table, table->own, land(flight, table->own));
    pthread_mutex_unlock(&table->own_lock);
}

void kt_flights_start(struct kt_key_table *table, struct kt_engine *engine, struct kt_flight *flights)
{
    while (flights) {
        struct kt_flight *flight = flights;
        flights = flight->next;
        flight->next = NULL;
        pthread_mutex_lock(&table->lock);
        bool flies = table->idle_count > 0;
        if (flies) {
            take_off(flight, table->idle[--table->idle_count]);
        } else {
            *table->line_end = flight;
            table->line_end = &flight->next;
        }
        pthread_mutex_unlock(&table->lock);
        if (flies)
            fly(table, engine, flight);
    }
}
