/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing, at most two thirds full. Slots are only ever filled; when they run
 * short, a larger set is published and the old one stays until the end for readers that still look at it. */
#include "keys/handles.h"

#include <openssl/rand.h>
#include <stdlib.h>

#define SLOTS_FIRST 1024u

struct kt_handle_slots {
    struct kt_handle_slots *older;
    size_t mask;
    _Atomic uint32_t handle[]; /* plus one; 0 is empty */
};

/* 64 x 64 -> 128 bits, folded: every bit of the result depends on every bit of both sides. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const struct kt_handles *handles, struct kt_span key, bool is_name)
{
    uint64_t h = handles->seed[0] ^ (key.nbytes << 1 | is_name);
    for (size_t i = 0; i < key.nbytes; i += 16) {
        uint8_t block[16] = {0};
        size_t left = key.nbytes - i;
        memcpy(block, key.data + i, left < 16 ? left : 16);
        h = fold(kt_load_le64(block) ^ h, kt_load_le64(block + 8) ^ handles->seed[1]);
    }
    return fold(h, handles->seed[1] | 1);
}

static struct kt_span key_of(const struct kt_handle *record)
{
    if (record->is_name)
        return kt_span_of(record->by_name.name, record->by_name.nbytes);
    return kt_span_of(record->id, sizeof record->id);
}

static struct kt_handle_slots *slots_new(size_t count)
{
    struct kt_handle_slots *slots = calloc(1, sizeof *slots + count * sizeof slots->handle[0]);
    if (slots)
        slots->mask = count - 1;
    return slots;
}

enum kt_status kt_handles_init(struct kt_handles *handles)
{
    handles->records = (struct kt_chunks){.item_nbytes = sizeof(struct kt_handle)};
    if (RAND_bytes((uint8_t *)handles->seed, sizeof handles->seed) != 1)
        return KT_E_INTERNAL;
    struct kt_handle_slots *slots = slots_new(SLOTS_FIRST);
    atomic_init(&handles->slots, slots);
    return slots ? KT_OK : KT_E_NOMEM;
}

void kt_handles_cleanup(struct kt_handles *handles)
{
    for (uint32_t i = 0; i < handles->records.count; i++) {
        struct kt_handle *record = kt_handle_at(handles, i);
        if (record->is_name)
            free(record->by_name.name);
    }
    kt_chunks_free(&handles->records);
    struct kt_handle_slots *slots = atomic_load(&handles->slots);
    while (slots) {
        struct kt_handle_slots *older = slots->older;
        free(slots);
        slots = older;
    }
    atomic_store(&handles->slots, NULL);
}

uint32_t kt_handles_find(const struct kt_handles *handles, struct kt_span key, bool is_name)
{
    struct kt_handle_slots *slots = atomic_load_explicit(&handles->slots, memory_order_acquire);
    for (size_t i = hash(handles, key, is_name);; i++) {
        uint32_t stored = atomic_load_explicit(&slots->handle[i & slots->mask], memory_order_acquire);
        if (stored == 0)
            return KT_NONE;
        const struct kt_handle *record = kt_handle_at(handles, stored - 1);
        if (kt_span_equal(key_of(record), key) && record->is_name == is_name)
            return stored - 1;
    }
}

static void fill_slot(struct kt_handle_slots *slots, uint64_t at, uint32_t handle)
{
    while (atomic_load_explicit(&slots->handle[at & slots->mask], memory_order_relaxed))
        at++;
    atomic_store_explicit(&slots->handle[at & slots->mask], handle + 1, memory_order_release);
}

static enum kt_status grow(struct kt_handles *handles)
{
    struct kt_handle_slots *slots = atomic_load(&handles->slots);
    if ((handles->records.count + 1) * (uint64_t)3 <= (slots->mask + 1) * (uint64_t)2)
        return KT_OK;
    struct kt_handle_slots *larger = slots_new((slots->mask + 1) * 2);
    if (!larger)
        return KT_E_NOMEM;
    for (uint32_t i = 0; i < handles->records.count; i++) {
        const struct kt_handle *record = kt_handle_at(handles, i);
        fill_slot(larger, hash(handles, key_of(record), record->is_name), i);
    }
    larger->older = slots;
    atomic_store_explicit(&handles->slots, larger, memory_order_release);
    return KT_OK;
}

enum kt_status kt_handles_add(struct kt_handles *handles, struct kt_span key, bool is_name, uint32_t *handle)
{
    char *name = NULL;
    if (key.nbytes > UINT32_MAX || grow(handles) != KT_OK)
        return KT_E_NOMEM;
    if (is_name && !(name = malloc(key.nbytes + 1)))
        return KT_E_NOMEM;
    if (kt_chunks_add(&handles->records, handle) != KT_OK) {
        free(name);
        return KT_E_NOMEM;
    }
    struct kt_handle *record = kt_handle_at(handles, *handle);
    record->at = KT_NONE;
    atomic_init(&record->state, KT_KEY_NEW);
    if (is_name) {
        if (key.nbytes)
            memcpy(name, key.data, key.nbytes);
        record->by_name.name = name;
        record->by_name.nbytes = (uint32_t)key.nbytes;
        record->by_name.key = KT_NONE;
        record->is_name = true;
    } else {
        memcpy(record->id, key.data, sizeof record->id);
    }
    fill_slot(atomic_load(&handles->slots), hash(handles, key, is_name), *handle);
    return KT_OK;
}
