/* SPDX-License-Identifier: Apache-2.0 */
/* One look-up in the key vault: which documents answer which handles, and which flights unwrap them. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "keys/table_private.h"

/* RSA-4096 wraps to 512 bytes, and masterKey holds a few names; a vault with megabytes there is hostile. */
#define WRAPPED_NBYTES_MAX 16384u
#define MASTER_KEY_NBYTES_MAX 65536u

struct lookup {
    struct kt_key_table *table;
    struct kt_flight **flights; /* every one of this look-up; an open one per provider is among them */
    size_t flights_count, flights_capacity;
    enum kt_status status;
};

static struct kt_flight *add_flight(struct lookup *lookup, const struct kt_provider *provider,
                                    const struct kt_strategy *strategy)
{
    if (lookup->flights_count == lookup->flights_capacity) {
        size_t capacity = lookup->flights_capacity ? 2 * lookup->flights_capacity : 8;
        struct kt_flight **more = realloc(lookup->flights, capacity * sizeof *more);
        if (!more)
            return NULL;
        lookup->flights = more;
        lookup->flights_capacity = capacity;
    }
    struct kt_flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    flight->table = lookup->table;
    flight->strategy = strategy;
    flight->batch.provider = provider;
    lookup->flights[lookup->flights_count++] = flight;
    return flight;
}

/* The youngest flight of a provider is the only one with seats. */
static struct kt_flight *flight_with_seat(struct lookup *lookup, const struct kt_provider *provider,
                                          const struct kt_strategy *strategy)
{
    for (size_t i = lookup->flights_count; i-- > 0;) {
        struct kt_flight *flight = lookup->flights[i];
        if (flight->batch.provider == provider && flight->count < KT_FLIGHT_MAX)
            return flight;
        if (flight->batch.provider == provider)
            break;
    }
    return add_flight(lookup, provider, strategy);
}

static enum kt_status board(struct kt_flight *flight, uint32_t handle, const struct kt_key_doc *key)
{
    size_t i = flight->count, at = 0;
    struct kt_span name = {0};
    kt_key_doc_alt_name(key, &at, &name);
    if (flight->bytes.nbytes + key->doc.nbytes > UINT32_MAX)
        return KT_E_TOO_LARGE;
    flight->handles[i] = handle;
    flight->wrapped_at[i] = (uint32_t)flight->bytes.nbytes;
    enum kt_status status = kt_buf_append(&flight->bytes, key->key_material.data, key->key_material.nbytes);
    flight->master_key_at[i] = (uint32_t)flight->bytes.nbytes;
    if (status == KT_OK)
        status = kt_buf_append(&flight->bytes, key->master_key.data, key->master_key.nbytes);
    flight->name_at[i] = (uint32_t)flight->bytes.nbytes;
    if (status == KT_OK)
        status = kt_buf_append(&flight->bytes, name.data, name.nbytes < 200 ? name.nbytes : 200);
    flight->count += status == KT_OK;
    return status;
}

/* Until waiters may come, `at` holds the seat. */
static uint32_t seat_of(const struct lookup *lookup, const struct kt_flight *flight)
{
    for (size_t i = lookup->flights_count; i-- > 0;)
        if (lookup->flights[i] == flight)
            return (uint32_t)(i * KT_FLIGHT_MAX + flight->count - 1);
    return KT_NONE;
}

static void take(struct lookup *lookup, uint32_t handle, const struct kt_key_doc *key)
{
    struct kt_key_table *table = lookup->table;
    struct kt_handle *record = kt_handle_at(&table->handles, handle);
    const struct kt_provider *provider = kt_providers_find(table->options.providers, key->provider);
    size_t at = 0;
    struct kt_span name = {0};
    kt_key_doc_alt_name(key, &at, &name);
    if (!provider) {
        (void)kt_table_fail(table, handle, KT_E_NO_PROVIDER, key->provider, name, NULL);
        return;
    }
    const struct kt_strategy *strategy = kt_strategies_find(&table->options.strategies, provider);
    if (!strategy) {
        (void)kt_table_fail(table, handle, KT_E_NO_PROVIDER, key->provider, name,
                            "this build of keyturn cannot call it");
        return;
    }
    if (key->key_material.nbytes > WRAPPED_NBYTES_MAX || key->master_key.nbytes > MASTER_KEY_NBYTES_MAX) {
        (void)kt_table_fail(table, handle, KT_E_KEY, key->provider, name,
                            "its key document is larger than any KMS makes one");
        return;
    }
    struct kt_flight *flight = flight_with_seat(lookup, provider, strategy);
    enum kt_status status = flight ? board(flight, handle, key) : KT_E_NOMEM;
    if (status != KT_OK) {
        lookup->status = status;
        return;
    }
    record->at = seat_of(lookup, flight);
}

/* The same document may come twice, once for its id and once for a name; two different ones may not. */
static bool same_document(const struct lookup *lookup, uint32_t seat, const struct kt_key_doc *key)
{
    const struct kt_flight *flight = lookup->flights[seat / KT_FLIGHT_MAX];
    size_t i = seat % KT_FLIGHT_MAX;
    struct kt_span had =
        kt_span_of(flight->bytes.data + flight->wrapped_at[i], flight->name_at[i] - flight->wrapped_at[i]);
    return had.nbytes == key->key_material.nbytes + key->master_key.nbytes &&
           kt_span_equal(kt_span_of(had.data, key->key_material.nbytes), key->key_material) &&
           kt_span_equal(kt_span_of(had.data + key->key_material.nbytes, key->master_key.nbytes),
                         key->master_key);
}

static bool asked_by_name(struct lookup *lookup, const struct kt_key_doc *key, uint32_t id_handle)
{
    struct kt_handles *handles = &lookup->table->handles;
    bool asked = false;
    struct kt_span name;
    for (size_t at = 0; kt_key_doc_alt_name(key, &at, &name);) {
        uint32_t handle = kt_handles_find(handles, name, true);
        struct kt_handle *record = handle == KT_NONE ? NULL : kt_handle_at(handles, handle);
        if (!record || !(record->flags & KT_HANDLE_FRESH))
            continue;
        asked = true;
        if (id_handle == KT_NONE)
            continue;
        if (record->by_name.key == KT_NONE)
            record->by_name.key = id_handle;
        else if (record->by_name.key != id_handle)
            record->flags |= KT_HANDLE_AMBIGUOUS;
    }
    return asked;
}

static void found(void *arg, const struct kt_key_doc *key)
{
    struct lookup *lookup = arg;
    struct kt_handles *handles = &lookup->table->handles;
    struct kt_span id = kt_span_of(key->id, 16);
    uint32_t handle = kt_handles_find(handles, id, false);
    if (lookup->status != KT_OK)
        return;
    bool asked = asked_by_name(lookup, key, KT_NONE);
    if (asked && handle == KT_NONE)
        lookup->status = kt_handles_add(handles, id, false, &handle);
    if (handle == KT_NONE)
        return;
    if (asked)
        (void)asked_by_name(lookup, key, handle);
    struct kt_handle *record = kt_handle_at(handles, handle);
    uint8_t state = atomic_load(&record->state);
    if (state == KT_KEY_NEW && asked) {
        record->flags |= KT_HANDLE_FRESH;
        atomic_store(&record->state, KT_KEY_ASKED);
        state = KT_KEY_ASKED;
    }
    if (state != KT_KEY_ASKED || !(record->flags & KT_HANDLE_FRESH))
        return;
    if (record->at == KT_NONE)
        take(lookup, handle, key);
    else if (!same_document(lookup, record->at, key))
        record->flags |= KT_HANDLE_AMBIGUOUS;
}

static size_t ask(struct kt_key_table *table, const uint32_t *handles, size_t count,
                  struct kt_key_query *queries, uint32_t *asked)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct kt_handle *record = kt_handle_at(&table->handles, handles[i]);
        if (atomic_load(&record->state) != KT_KEY_NEW)
            continue;
        atomic_store(&record->state, KT_KEY_ASKED);
        record->flags = KT_HANDLE_FRESH;
        queries[n] = (struct kt_key_query){.id = record->is_name ? NULL : record->id};
        if (record->is_name)
            queries[n].name = kt_span_of(record->by_name.name, record->by_name.nbytes);
        asked[n++] = handles[i];
    }
    return n;
}

static void forget(struct kt_key_table *table, uint32_t handle)
{
    struct kt_handle *record = kt_handle_at(&table->handles, handle);
    if (atomic_load(&record->state) != KT_KEY_ASKED)
        return;
    record->flags = 0;
    record->at = KT_NONE;
    if (record->is_name)
        record->by_name.key = KT_NONE;
    atomic_store(&record->state, KT_KEY_NEW);
}

static void undo(struct lookup *lookup, const uint32_t *asked, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forget(lookup->table, asked[i]);
    for (size_t i = 0; i < lookup->flights_count; i++) {
        struct kt_flight *flight = lookup->flights[i];
        for (size_t k = 0; k < flight->count; k++)
            forget(lookup->table, flight->handles[k]);
        kt_flights_free(flight);
    }
}

/* Nobody can wait yet for what was asked only now, so nobody is woken. */
static void settle_asked(struct kt_key_table *table, uint32_t handle)
{
    struct kt_handle *record = kt_handle_at(&table->handles, handle);
    const struct kt_span none = {0};
    if (atomic_load(&record->state) != KT_KEY_ASKED)
        return;
    if (record->is_name && (record->flags & KT_HANDLE_AMBIGUOUS))
        (void)kt_table_fail(table, handle, KT_E_KEY, none, none, NULL);
    else if (record->is_name && record->by_name.key != KT_NONE)
        (void)kt_table_publish(table, handle, KT_NONE, KT_KEY_LINKED);
    else if (record->at == KT_NONE)
        (void)kt_table_fail(table, handle, KT_E_NO_KEY, none, none, NULL);
}

static struct kt_flight *depart(struct lookup *lookup)
{
    struct kt_flight *list = NULL;
    for (size_t i = lookup->flights_count; i-- > 0;) {
        struct kt_flight *flight = lookup->flights[i];
        for (size_t k = 0; k < flight->count; k++) {
            struct kt_handle *record = kt_handle_at(&lookup->table->handles, flight->handles[k]);
            record->flags &= (uint8_t)~KT_HANDLE_FRESH;
            record->at = KT_NONE;
        }
        flight->next = list;
        list = flight;
    }
    return list;
}

enum kt_status kt_table_look_up(struct kt_key_table *table, const uint32_t *handles, size_t count,
                                struct kt_flight **flights, struct kt_error *err)
{
    struct lookup lookup = {.table = table};
    *flights = NULL;
    struct kt_key_query *queries = calloc(count + 1, sizeof *queries);
    uint32_t *asked = calloc(count + 1, sizeof *asked);
    if (!queries || !asked) {
        free(queries);
        free(asked);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    size_t n = ask(table, handles, count, queries, asked);
    enum kt_status status = KT_OK;
    if (n)
        status = table->options.source.find(table->options.source.context, queries, n, found, &lookup, err);
    if (status == KT_OK && lookup.status != KT_OK)
        status = kt_fail(err, lookup.status, "memory ran out while keys were looked up");
    if (status != KT_OK) {
        undo(&lookup, asked, n);
    } else {
        for (size_t i = 0; i < n; i++)
            settle_asked(table, asked[i]);
        *flights = depart(&lookup);
    }
    free(lookup.flights);
    free(queries);
    free(asked);
    return status;
}
