/* SPDX-License-Identifier: Apache-2.0 */
/* What every backend has in common: batches are checked as a whole, cut into windows, and given random IVs.
 */
#include "keyturn/engine.h"

#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/secmem.h"
#include "engine/cpu/features.h"
#include "engine/dispatch.h"

/* IVs drawn at once: one draw of 4 KiB costs 10 cycles an IV, one of 16 bytes 2,000. */
#define IVS_COUNT 256

struct kt_engine {
    const struct kt_backend *backend;
    struct kt_region state;
    struct kt_region scalar_state;    /* for batches that only the scalar backend takes */
    const struct kt_backend *running; /* during a call: the backend, and its state */
    void *running_state;
    uint8_t ivs[IVS_COUNT][16];
};

enum kt_status kt_engine_open(struct kt_engine **out, const struct kt_engine_options *options,
                              struct kt_error *err)
{
    static const struct kt_engine_options defaults = {0};
    *out = NULL;
    if (!options)
        options = &defaults;
    uint32_t disabled;
    size_t nbytes;
    const char *unknown = kt_cpu_parse(options->cpu_disable, &disabled, &nbytes);
    if (unknown)
        return kt_fail(
            err, KT_E_USAGE,
            "there is no CPU feature \"%.*s\" to disable; `keyturn bench engine --list` names them",
            (int)(nbytes < 40 ? nbytes : 40), unknown);
    struct kt_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return kt_fail(err, KT_E_NOMEM, "memory ran out while the engine was opened");
    enum kt_status status = kt_dispatch_start(kt_dispatch_all(), options, kt_cpu_capabilities() & ~disabled,
                                              &engine->backend, &engine->state, err);
    if (status != KT_OK) {
        free(engine);
        return status;
    }
    kt_log(options->log, KT_LOG_INFO, "engine: %s", engine->backend->name);
    *out = engine;
    return KT_OK;
}

void kt_engine_close(struct kt_engine *engine)
{
    if (!engine)
        return;
    kt_dispatch_stop(engine->backend, &engine->state);
    kt_region_free(&engine->scalar_state);
    free(engine);
}

const char *kt_engine_backend(const struct kt_engine *engine)
{
    return engine->backend->name;
}

size_t kt_engine_backends(size_t i, const char **name, const char **why_not)
{
    struct kt_backends all = kt_dispatch_all();
    if (i < all.count) {
        *name = all.list[i]->name;
        *why_not = kt_dispatch_why_not(all.list[i], kt_cpu_capabilities());
    }
    return all.count;
}

/* A backend may leave round state on the stack below this frame. */
static __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t below[KT_STACK_NBYTES];
    kt_wipe(below, sizeof below);
}

void kt_keys_prepare(struct kt_engine *engine, const uint8_t *deks, struct kt_key *const *keys, size_t n)
{
    engine->backend->prepare(engine->state.data, deks, keys, n);
    wipe_stack();
}

static inline int inside(uint64_t offset, uint64_t before, uint64_t nbytes, uint64_t arena)
{
    return before <= offset && offset + nbytes <= arena;
}

static bool seal_offsets_legal(const struct kt_batch *b, uint32_t *aad_max)
{
    bool legal = true;
    uint32_t longest = 0;
    for (size_t i = 0; i < b->msgs_count; i++) {
        const struct kt_msg *m = &b->msgs[i];
        legal &= inside(m->in, 0, m->in_nbytes, b->in_nbytes) &
                 inside(m->out, m->aad_nbytes, KT_SEALED_NBYTES(m->in_nbytes), b->out_nbytes) &
                 (m->key < b->keys_count) & (m->mode <= KT_MODE_IV_GIVEN);
        longest = m->aad_nbytes > longest ? m->aad_nbytes : longest;
    }
    *aad_max = longest;
    return legal && longest <= KT_AAD_MAX;
}

static bool open_offsets_legal(const struct kt_batch *b, uint32_t *aad_max)
{
    bool legal = true;
    uint32_t longest = 0;
    for (size_t i = 0; i < b->msgs_count; i++) {
        const struct kt_msg *m = &b->msgs[i];
        legal &= inside(m->in, m->aad_nbytes, m->in_nbytes, b->in_nbytes) &
                 inside(m->out, 0, m->in_nbytes > 48 ? m->in_nbytes - 48 : 0, b->out_nbytes) &
                 (m->key < b->keys_count) & (m->mode <= KT_MODE_IV_GIVEN);
        longest = m->aad_nbytes > longest ? m->aad_nbytes : longest;
    }
    *aad_max = longest;
    return legal && longest <= KT_AAD_MAX;
}

/* Sets each message's status and, sealing, its length; returns false when one is not fit to be worked on. */
static inline bool mark(const struct kt_batch *b, struct kt_msg *m, bool sealing)
{
    size_t sealed = KT_SEALED_NBYTES(m->in_nbytes);
    bool fit =
        sealing ? sealed <= KT_MSG_MAX
                : (m->in_nbytes >= KT_SEAL_MIN_NBYTES) & (m->in_nbytes <= KT_MSG_MAX) & !(m->in_nbytes % 16);
    m->status = !fit ? KT_E_VALUE : b->keys[m->key] ? KT_OK : KT_E_KEY;
    m->out_nbytes = sealing && m->status == KT_OK ? (uint32_t)sealed : 0;
    return m->status == KT_OK;
}

/* The next of a stock of random IVs; `left` messages may still want one. false: the system's source failed.
 */
static inline bool draw_iv(struct kt_engine *engine, size_t *stock, size_t left, uint8_t *iv)
{
    if (*stock == 0) {
        *stock = left < IVS_COUNT ? left : IVS_COUNT;
        if (RAND_bytes(engine->ivs[0], (int)(16 * *stock)) != 1)
            return false;
    }
    memcpy(iv, engine->ivs[--*stock], 16);
    return true;
}

static enum kt_status seal_window(struct kt_engine *engine, const struct kt_batch *window)
{
    bool all_fit = true;
    size_t stock = 0;
    for (size_t i = 0; i < window->msgs_count; i++) {
        struct kt_msg *m = &window->msgs[i];
        bool fit = mark(window, m, true);
        all_fit &= fit;
        if (fit && m->mode == KT_MODE_RANDOM &&
            !draw_iv(engine, &stock, window->msgs_count - i, window->out + m->out))
            return KT_E_INTERNAL;
    }
    enum kt_status status = engine->running->seal(engine->running_state, window);
    return status != KT_OK || all_fit ? status : KT_E_ITEM;
}

static enum kt_status open_window(struct kt_engine *engine, const struct kt_batch *window)
{
    for (size_t i = 0; i < window->msgs_count; i++)
        mark(window, &window->msgs[i], false);
    enum kt_status status = engine->running->open(engine->running_state, window);
    for (size_t i = 0; i < window->msgs_count && status == KT_OK; i++)
        status = window->msgs[i].status == KT_OK ? KT_OK : KT_E_ITEM;
    return status;
}

/* Vector backends lay rows out for the AADs of stored values; the scalar one takes every length. */
static enum kt_status choose(struct kt_engine *engine, uint32_t aad_max)
{
    engine->running = engine->backend;
    engine->running_state = engine->state.data;
    if (aad_max <= engine->backend->aad_max)
        return KT_OK;
    if (kt_region_reserve(&engine->scalar_state, kt_backend_scalar.state_nbytes) != KT_OK)
        return KT_E_NOMEM;
    engine->running = &kt_backend_scalar;
    engine->running_state = engine->scalar_state.data;
    return KT_OK;
}

static enum kt_status run(struct kt_engine *engine, const struct kt_batch *batch, uint32_t aad_max,
                          enum kt_status (*work)(struct kt_engine *, const struct kt_batch *))
{
    enum kt_status result = choose(engine, aad_max);
    if (result != KT_OK)
        return result;
    struct kt_batch window = *batch;
    for (size_t at = 0; at < batch->msgs_count; at += window.msgs_count) {
        size_t left = batch->msgs_count - at;
        window.msgs = batch->msgs + at;
        window.msgs_count = left < engine->running->window ? left : engine->running->window;
        enum kt_status status = work(engine, &window);
        if (status != KT_OK)
            result = status;
        if (status != KT_OK && status != KT_E_ITEM)
            break;
    }
    wipe_stack();
    return result;
}

enum kt_status kt_seal(struct kt_engine *engine, const struct kt_batch *batch)
{
    uint32_t aad_max = 0;
    return seal_offsets_legal(batch, &aad_max) ? run(engine, batch, aad_max, seal_window) : KT_E_USAGE;
}

enum kt_status kt_open(struct kt_engine *engine, const struct kt_batch *batch)
{
    uint32_t aad_max = 0;
    return open_offsets_legal(batch, &aad_max) ? run(engine, batch, aad_max, open_window) : KT_E_USAGE;
}
