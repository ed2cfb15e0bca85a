/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/dek_cache.h"

#include <stdlib.h>
#include <string.h>

#include "csfle/walk.h"
#include "keys/table_private.h"

/* Slots form a ring by age: the newest behind `head`, the oldest before it; and chains by handle. */
struct slot {
    uint32_t handle, newer, older, chain;
};

struct kt_dek_cache {
    struct kt_key_table *table;
    struct kt_engine *engine;
    uint8_t *keys;      /* locked: count prepared keys */
    uint8_t *scratch;   /* locked: DEKs while they are prepared */
    struct slot *slots; /* [count] is the ring's head */
    uint32_t *heads;
    uint32_t count, heads_mask;
};

#define FILL_MAX ((uint32_t)KT_RESTING_RUN)

enum kt_status kt_dek_cache_new(struct kt_dek_cache **out, struct kt_key_table *table,
                                struct kt_engine *engine, size_t slots)
{
    *out = NULL;
    struct kt_dek_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return KT_E_NOMEM;
    *cache = (struct kt_dek_cache){.table = table, .engine = engine};
    size_t heads = 16;
    while (heads < slots && heads < (size_t)1 << 24)
        heads *= 2;
    struct kt_secmem *secmem = table->options.secmem;
    bool fits = slots >= 1 && slots <= kt_secmem_size(secmem) / KT_KEY_NBYTES;
    if (fits) {
        cache->keys = kt_secmem_alloc(secmem, slots * KT_KEY_NBYTES);
        cache->scratch =
            kt_secmem_alloc(secmem, (slots < FILL_MAX ? slots : FILL_MAX) * (size_t)KT_RESTING_ROOM);
        cache->slots = calloc(slots + 1, sizeof *cache->slots);
        cache->heads = malloc(heads * sizeof *cache->heads);
    }
    if (!cache->keys || !cache->scratch || !cache->slots || !cache->heads) {
        kt_dek_cache_free(cache);
        return KT_E_NOMEM;
    }
    cache->count = (uint32_t)slots;
    cache->heads_mask = (uint32_t)heads - 1;
    for (uint32_t i = 0; i < heads; i++)
        cache->heads[i] = KT_NONE;
    for (uint32_t i = 0; i <= cache->count; i++)
        cache->slots[i] = (struct slot){KT_NONE, (i + cache->count) % (cache->count + 1),
                                        (i + 1) % (cache->count + 1), KT_NONE};
    *out = cache;
    return KT_OK;
}

void kt_dek_cache_free(struct kt_dek_cache *cache)
{
    if (!cache)
        return;
    kt_secmem_free(cache->table->options.secmem, cache->keys);
    kt_secmem_free(cache->table->options.secmem, cache->scratch);
    free(cache->slots);
    free(cache->heads);
    free(cache);
}

size_t kt_dek_cache_slots(const struct kt_dek_cache *cache)
{
    return cache->count;
}

static uint32_t *head_of(struct kt_dek_cache *cache, uint32_t handle)
{
    return &cache->heads[handle & cache->heads_mask]; /* handles are dense */
}

static uint32_t find(struct kt_dek_cache *cache, uint32_t handle)
{
    uint32_t i = *head_of(cache, handle);
    while (i != KT_NONE && cache->slots[i].handle != handle)
        i = cache->slots[i].chain;
    return i;
}

static void make_newest(struct kt_dek_cache *cache, uint32_t i)
{
    struct slot *slots = cache->slots, *slot = &slots[i], *head = &slots[cache->count];
    slots[slot->newer].older = slot->older;
    slots[slot->older].newer = slot->newer;
    slot->newer = cache->count;
    slot->older = head->older;
    slots[head->older].newer = i;
    head->older = i;
}

static void unchain(struct kt_dek_cache *cache, uint32_t i)
{
    uint32_t handle = cache->slots[i].handle;
    if (handle == KT_NONE)
        return;
    uint32_t *link = head_of(cache, handle);
    while (*link != i)
        link = &cache->slots[*link].chain;
    *link = cache->slots[i].chain;
    cache->slots[i].handle = KT_NONE;
}

/* Gives the oldest slot to a handle. */
static uint32_t renew(struct kt_dek_cache *cache, uint32_t handle)
{
    uint32_t i = cache->slots[cache->count].newer;
    unchain(cache, i);
    cache->slots[i].handle = handle;
    cache->slots[i].chain = *head_of(cache, handle);
    *head_of(cache, handle) = i;
    make_newest(cache, i);
    return i;
}

static struct kt_key *slot_key(const struct kt_dek_cache *cache, uint32_t i)
{
    return (struct kt_key *)(void *)(cache->keys + (size_t)i * KT_KEY_NBYTES);
}

struct fill {
    struct kt_key *keys[KT_RESTING_RUN];
    uint32_t at[KT_RESTING_RUN], slot[KT_RESTING_RUN];
    uint32_t count;
};

static enum kt_status fill_slots(struct kt_dek_cache *cache, struct fill *fill)
{
    enum kt_status status =
        kt_resting_open(&cache->table->resting, cache->engine, fill->at, fill->count, cache->scratch);
    if (status == KT_OK)
        kt_keys_prepare(cache->engine, cache->scratch, fill->keys, fill->count);
    else
        for (uint32_t i = 0; i < fill->count; i++)
            unchain(cache, fill->slot[i]);
    kt_wipe(cache->scratch, (size_t)fill->count * KT_RESTING_ROOM);
    fill->count = 0;
    return status;
}

enum kt_status kt_dek_cache_get(struct kt_dek_cache *cache, const uint32_t *handles, size_t count,
                                const struct kt_key **keys)
{
    if (count > cache->count)
        return KT_E_USAGE;
    uint32_t fill_max = cache->count < FILL_MAX ? cache->count : FILL_MAX;
    struct fill fill;
    fill.count = 0;
    enum kt_status status = KT_OK;
    /* First those that are there, so that none of them makes room for the others. */
    for (size_t i = 0; i < count; i++) {
        uint32_t handle = kt_key_table_key(cache->table, handles[i]);
        uint32_t slot = handle == KT_NO_KEY ? KT_NONE : find(cache, handle);
        keys[i] = NULL;
        if (slot == KT_NONE)
            continue;
        make_newest(cache, slot);
        keys[i] = slot_key(cache, slot);
    }
    for (size_t i = 0; i < count && status == KT_OK; i++) {
        uint32_t at;
        if (keys[i] || !kt_table_resting(cache->table, handles[i], &at))
            continue;
        uint32_t handle = kt_key_table_key(cache->table, handles[i]);
        uint32_t slot = find(cache, handle); /* a name and an id may mean the same key */
        if (slot == KT_NONE) {
            slot = renew(cache, handle);
            fill.slot[fill.count] = slot;
            fill.keys[fill.count] = slot_key(cache, slot);
            fill.at[fill.count++] = at;
        }
        keys[i] = slot_key(cache, slot);
        if (fill.count == fill_max)
            status = fill_slots(cache, &fill);
    }
    if (status == KT_OK && fill.count)
        status = fill_slots(cache, &fill);
    return status;
}
