/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/cmks.h"

#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/latch.h"

struct kt_span kt_cmk_stored(const struct kt_cmk *cmk)
{
    return kt_span_of(cmk->master_key.data, cmk->master_key.nbytes);
}

bool kt_cmk_refuses(const struct kt_cmk *cmk)
{
    return cmk->tried == KT_E_DENIED || cmk->tried == KT_E_CREDENTIALS;
}

bool kt_job_ends_with(enum kt_status status)
{
    switch (kt_status_category(status)) {
    case KT_CAT_RETRY:
    case KT_CAT_STOP:
    case KT_CAT_INTERNAL:
        return true;
    default:
        return status == KT_E_CREDENTIALS;
    }
}

void kt_cmk_provider_id(const struct kt_cmk *cmk, char *out, size_t nbytes)
{
    bson_t view;
    bson_iter_t iter;
    bool found = bson_init_static(&view, cmk->master_key.data, cmk->master_key.nbytes) &&
                 bson_iter_init_find(&iter, &view, "provider") && BSON_ITER_HOLDS_UTF8(&iter);
    snprintf(out, nbytes, "%s", found ? bson_iter_utf8(&iter, NULL) : "");
}

void kt_cmk_free(struct kt_cmk *cmk)
{
    if (!cmk)
        return;
    kt_buf_free(&cmk->master_key);
    for (size_t i = 0; i < cmk->probes; i++)
        kt_buf_free(&cmk->probe[i]);
    free(cmk);
}

enum kt_status kt_cmk_new(struct kt_cmk **out, const struct kt_cmks *cmks, struct kt_span master_key)
{
    char id[128];
    struct kt_cmk *cmk = calloc(1, sizeof *cmk);
    if (!cmk || kt_buf_append(&cmk->master_key, master_key.data, master_key.nbytes) != KT_OK) {
        kt_cmk_free(cmk);
        return KT_E_NOMEM;
    }
    kt_master_key_describe(master_key, cmk->name, sizeof cmk->name);
    kt_cmk_provider_id(cmk, id, sizeof id);
    if (cmks->providers)
        cmk->provider = kt_providers_find(cmks->providers, kt_span_str(id));
    if (cmk->provider)
        cmk->strategy = kt_strategies_find(cmks->strategies, cmk->provider);
    *out = cmk;
    return KT_OK;
}

void kt_cmks_free(struct kt_cmks *cmks)
{
    for (size_t i = 0; i < cmks->count; i++)
        kt_cmk_free(cmks->v[i]);
    free(cmks->v);
    free(cmks->places);
    *cmks = (struct kt_cmks){0};
}

/* The place of a masterKey, taken or free. */
static size_t place_of(const struct kt_cmks *cmks, struct kt_span master_key)
{
    size_t at = kt_span_hash(master_key) & cmks->places_mask;
    while (cmks->places[at] && !kt_span_equal(kt_cmk_stored(cmks->v[cmks->places[at] - 1]), master_key))
        at = (at + 1) & cmks->places_mask;
    return at;
}

struct kt_cmk *kt_cmks_find(const struct kt_cmks *cmks, struct kt_span master_key)
{
    if (!cmks->places)
        return NULL;
    /* Most key vaults have one CMK: a comparison costs less than the hash. */
    if (cmks->count && kt_span_equal(kt_cmk_stored(cmks->v[0]), master_key))
        return cmks->v[0];
    uint32_t found = cmks->places[place_of(cmks, master_key)];
    return found ? cmks->v[found - 1] : NULL;
}

static enum kt_status grow(struct kt_cmks *cmks)
{
    size_t capacity = cmks->capacity ? 2 * cmks->capacity : 16;
    struct kt_cmk **v = realloc(cmks->v, capacity * sizeof *v);
    if (!v)
        return KT_E_NOMEM;
    cmks->v = v;
    uint32_t *places = calloc(2 * capacity, sizeof *places);
    if (!places)
        return KT_E_NOMEM;
    free(cmks->places);
    cmks->places = places;
    cmks->places_mask = 2 * capacity - 1;
    cmks->capacity = capacity;
    for (size_t i = 0; i < cmks->count; i++)
        places[place_of(cmks, kt_cmk_stored(cmks->v[i]))] = (uint32_t)i + 1;
    return KT_OK;
}

static enum kt_status add(struct kt_cmks *cmks, struct kt_span master_key, struct kt_cmk **out)
{
    enum kt_status status = cmks->count < cmks->capacity ? KT_OK : grow(cmks);
    if (status == KT_OK)
        status = kt_cmk_new(out, cmks, master_key);
    if (status != KT_OK)
        return status;
    size_t at = place_of(cmks, master_key);
    cmks->v[cmks->count++] = *out;
    cmks->places[at] = (uint32_t)cmks->count;
    return KT_OK;
}

enum kt_status kt_cmks_count(struct kt_cmks *cmks, const struct kt_key_doc *key, struct kt_cmk **out)
{
    struct kt_cmk *cmk = kt_cmks_find(cmks, key->master_key);
    enum kt_status status = cmk ? KT_OK : add(cmks, key->master_key, &cmk);
    if (status != KT_OK)
        return status;
    cmk->keys++;
    *out = cmk;
    if (cmk->probes == KT_PROBE_KEYS)
        return KT_OK;
    status = kt_buf_append(&cmk->probe[cmk->probes], key->key_material.data, key->key_material.nbytes);
    cmk->probes += status == KT_OK;
    return status;
}

static void batch_done(struct kt_wrap_batch *batch)
{
    kt_latch_down(batch->context);
}

enum kt_status kt_strategy_ask(const struct kt_cmk *cmk, kt_strategy_fn run, struct kt_engine *engine,
                               struct kt_wrap_item *items, size_t count)
{
    struct kt_latch answers = KT_LATCH(1);
    struct kt_wrap_batch batch = {
        .items = items, .count = count, .provider = cmk->provider, .done = batch_done, .context = &answers};
    enum kt_status status = run(cmk->strategy, engine, &batch);
    if (status == KT_OK)
        kt_latch_wait(&answers);
    return status;
}

/* CMKs tried side by side. */
#define TRY_AT_ONCE 128

#define SERVICE_NBYTES 640

/* A KMS that does not answer: asked for another of its CMKs it would be waited for as long again. */
struct silent {
    char service[SERVICE_NBYTES];
    enum kt_status tried;
    const char *why;
};

struct trial {
    struct kt_cmk *cmks[TRY_AT_ONCE];
    struct kt_wrap_item items[TRY_AT_ONCE];
    struct kt_wrap_batch batches[TRY_AT_ONCE];
    char services[TRY_AT_ONCE][SERVICE_NBYTES]; /* empty: no name */
    size_t count;
    struct silent *silent;
    size_t silent_count, silent_capacity;
};

static void name_service(const struct kt_cmk *cmk, char service[SERVICE_NBYTES])
{
    const struct kt_strategy *strategy = cmk->strategy;
    if (!strategy->service || !strategy->service(strategy, kt_cmk_stored(cmk), service, SERVICE_NBYTES))
        service[0] = 0;
}

static const struct silent *find_silent(const struct trial *trial, const char *service)
{
    for (size_t i = 0; i < trial->silent_count; i++)
        if (strcmp(trial->silent[i].service, service) == 0)
            return &trial->silent[i];
    return NULL;
}

/* One CMK without an answer among others that have theirs is that CMK's matter. */
static bool is_silent(const struct trial *trial, const char *service)
{
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->items[i].away && strcmp(trial->services[i], service) == 0)
            return false;
    return *service;
}

static enum kt_status note_silent(struct trial *trial)
{
    for (size_t i = 0; i < trial->count; i++) {
        const char *service = trial->services[i];
        if (!trial->items[i].away || find_silent(trial, service) || !is_silent(trial, service))
            continue;
        if (kt_array_reserve(&trial->silent, &trial->silent_capacity, trial->silent_count + 1,
                             sizeof *trial->silent) != KT_OK)
            return KT_E_NOMEM;
        struct silent *silent = &trial->silent[trial->silent_count++];
        snprintf(silent->service, sizeof silent->service, "%s", service);
        silent->tried = trial->cmks[i]->tried;
        silent->why = trial->cmks[i]->why;
    }
    return KT_OK;
}

/* One batch a CMK: they may be of different providers, and an answer that is slow holds nobody else up. */
static enum kt_status run_trial(struct trial *trial, size_t attempt, uint8_t *deks, struct kt_engine *engine)
{
    struct kt_latch answers = KT_LATCH(trial->count);
    for (size_t i = 0; i < trial->count; i++) {
        struct kt_cmk *cmk = trial->cmks[i];
        const struct kt_buf *probe = &cmk->probe[attempt];
        trial->items[i] = (struct kt_wrap_item){.wrapped = kt_span_of(probe->data, probe->nbytes),
                                                .master_key = kt_cmk_stored(cmk),
                                                .dek = deks + i * KT_DEK_NBYTES};
        trial->batches[i] = (struct kt_wrap_batch){.items = &trial->items[i],
                                                   .count = 1,
                                                   .provider = cmk->provider,
                                                   .done = batch_done,
                                                   .context = &answers};
        enum kt_status status = cmk->strategy->unwrap(cmk->strategy, engine, &trial->batches[i]);
        if (status != KT_OK) {
            trial->items[i].status = status;
            batch_done(&trial->batches[i]);
        }
    }
    kt_latch_wait(&answers);
    for (size_t i = 0; i < trial->count; i++) {
        const struct kt_wrap_item *item = &trial->items[i];
        trial->cmks[i]->tried = item->status;
        trial->cmks[i]->opened = item->status == KT_OK ? attempt : 0;
        trial->cmks[i]->why = item->status == KT_OK ? NULL
                              : item->reason        ? item->reason
                                                    : kt_status_text(item->status);
    }
    enum kt_status status = note_silent(trial);
    trial->count = 0;
    return status;
}

/* A CMK whose KMS has been asked for others, and does not answer, is not asked for. */
static void join_trial(struct trial *trial, struct kt_cmk *cmk)
{
    char *service = trial->services[trial->count];
    name_service(cmk, service);
    const struct silent *silent = find_silent(trial, service);
    if (silent) {
        cmk->tried = silent->tried;
        cmk->why = silent->why;
        return;
    }
    trial->cmks[trial->count++] = cmk;
}

/* A wrap may be damaged; where nobody answers, another one gets no answer either. */
static bool is_worth_another(enum kt_status tried)
{
    return tried != KT_OK && !kt_job_ends_with(tried);
}

static enum kt_status try_probe(struct kt_cmks *cmks, struct trial *trial, size_t attempt, uint8_t *deks,
                                struct kt_engine *engine)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < cmks->count && status == KT_OK; i++) {
        struct kt_cmk *cmk = cmks->v[i];
        if (!cmk->strategy || attempt >= cmk->probes || (attempt > 0 && !is_worth_another(cmk->tried)))
            continue;
        join_trial(trial, cmk);
        if (trial->count == TRY_AT_ONCE)
            status = run_trial(trial, attempt, deks, engine);
    }
    return trial->count && status == KT_OK ? run_trial(trial, attempt, deks, engine) : status;
}

enum kt_status kt_cmks_try(struct kt_cmks *const *lists, size_t count, struct kt_secmem *secmem,
                           struct kt_engine *engine)
{
    uint8_t *deks = kt_secmem_alloc(secmem, TRY_AT_ONCE * KT_DEK_NBYTES);
    struct trial *trial = calloc(1, sizeof *trial);
    enum kt_status status = deks && trial ? KT_OK : KT_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        for (size_t attempt = 0; attempt < KT_PROBE_KEYS && status == KT_OK; attempt++)
            status = try_probe(lists[i], trial, attempt, deks, engine);
    if (trial)
        free(trial->silent);
    free(trial);
    kt_secmem_free(secmem, deks);
    return status;
}
