/* SPDX-License-Identifier: Apache-2.0 */
/* The key table's parts. key_table.c answers callers, lookup.c asks the key vault, flight.c unwraps what came
 * back, failure.c says why a key cannot be had. */
#ifndef KT_KEYS_TABLE_PRIVATE_H
#define KT_KEYS_TABLE_PRIVATE_H

#include <pthread.h>

#include "keys/handles.h"
#include "keys/key_table.h"
#include "keys/resting.h"
#include "keys/strategy.h"

/* Unwraps in flight at once: FLIGHTS of FLIGHT_MAX DEKs, whose locked memory is taken when the table is made.
 * More wait in line, so that a slow KMS cannot make locked memory grow. */
#define KT_FLIGHTS 8
#define KT_FLIGHTS_SMALL_POOL 2
#define KT_FLIGHT_MAX KT_RESTING_RUN

struct kt_flight {
    struct kt_wrap_batch batch; /* first: done() gets from it to the flight */
    struct kt_key_table *table;
    struct kt_flight *next;
    const struct kt_strategy *strategy;
    uint8_t *deks; /* a block of locked memory while it flies */
    bool finished; /* done() was called */
    bool alone;    /* unwrap() has returned before that: done() must land it */
    size_t count;
    uint32_t handles[KT_FLIGHT_MAX];
    uint32_t wrapped_at[KT_FLIGHT_MAX], master_key_at[KT_FLIGHT_MAX], name_at[KT_FLIGHT_MAX];
    struct kt_buf bytes; /* copies of what the key documents say, a run of wrapped, masterKey, name each */
    struct kt_wrap_item items[KT_FLIGHT_MAX];
};

struct kt_waiting {
    struct kt_key_waiter *waiter;
    uint32_t next;
};

struct kt_failure {
    const char *why;
    uint8_t status;
    bool owned;
};

struct kt_key_table {
    struct kt_key_table_options options;
    pthread_mutex_t lock; /* everything below but own */
    struct kt_handles handles;
    struct kt_resting resting;
    struct kt_chunks failures;
    uint32_t sentences;
    struct kt_waiting *waiting;
    uint32_t waiting_count, waiting_free;
    uint8_t *blocks[KT_FLIGHTS]; /* all of them */
    uint8_t *idle[KT_FLIGHTS];
    size_t blocks_count, idle_count;
    struct kt_flight *line, **line_end; /* flights that wait for a block */

    /* For what arrives on a thread that has no engine. */
    pthread_mutex_t own_lock;
    struct kt_engine *own;
};

/* Under the lock. Makes a key or name FAILED; `which` stands in the sentence as the key's other name (may be
 * empty), reason may be NULL. Returns those who wait no longer. */
struct kt_key_waiter *kt_table_fail(struct kt_key_table *table, uint32_t handle, enum kt_status status,
                                    struct kt_span provider, struct kt_span which, const char *reason);

/* Under the lock. Publishes a state; returns those who wait no longer, linked by next. */
struct kt_key_waiter *kt_table_publish(struct kt_key_table *table, uint32_t handle, uint32_t at,
                                       uint8_t state);

/* Outside the lock. */
void kt_waiters_call(struct kt_key_waiter *ready);

/* Under the lock. One find for all handles that are NEW: those become ASKED, their flights are returned in
 * *flights; those that cannot be had become FAILED. When the source fails they are NEW again. */
KT_MUST_USE enum kt_status kt_table_look_up(struct kt_key_table *table, const uint32_t *handles, size_t count,
                                            struct kt_flight **flights, struct kt_error *err);

/* Where a READY key rests. Any thread. */
bool kt_table_resting(const struct kt_key_table *table, uint32_t handle, uint32_t *at);

/* Outside the lock. Lets flights fly, or puts them in line. */
void kt_flights_start(struct kt_key_table *table, struct kt_engine *engine, struct kt_flight *flights);
void kt_flights_free(struct kt_flight *flights);

#endif
