/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/dispatch.h"

#include <string.h>

#include "common/log.h"
#include "engine/cpu/features.h"
#include "engine/selftest.h"

static const struct kt_backend *const table[] = {
#ifdef KT_HAVE_X86
    &kt_backend_avx512,
    &kt_backend_avx2,
#endif
    &kt_backend_scalar,
};

struct kt_backends kt_dispatch_all(void)
{
    return (struct kt_backends){table, sizeof table / sizeof table[0]};
}

const char *kt_dispatch_why_not(const struct kt_backend *backend, uint32_t features)
{
    for (size_t i = 0; i < KT_CPU_COUNT; i++)
        if (backend->required & ~features & 1u << i)
            return kt_cpu_lacks(i);
    return NULL;
}

void kt_dispatch_stop(const struct kt_backend *backend, struct kt_region *state)
{
    if (backend && backend->stop)
        backend->stop(state->data);
    kt_region_free(state);
}

/* KT_OK, KT_E_NOMEM, KT_E_DEVICE (it does not start), or KT_E_INTERNAL (it computes wrongly). */
static enum kt_status start_one(const struct kt_backend *backend, struct kt_region *state)
{
    enum kt_status status = kt_region_reserve(state, backend->state_nbytes);
    if (status != KT_OK)
        return status;
    if (backend->start && backend->start(state->data) != KT_OK) {
        kt_region_free(state);
        return KT_E_DEVICE;
    }
    status = kt_selftest(backend, state->data);
    if (status != KT_OK)
        kt_dispatch_stop(backend, state);
    return status;
}

static enum kt_status start_first(struct kt_backends all, const struct kt_log *log, uint32_t features,
                                  const struct kt_backend **backend, struct kt_region *state,
                                  struct kt_error *err)
{
    for (size_t i = 0; i < all.count; i++) {
        const struct kt_backend *b = all.list[i];
        const char *why_not = kt_dispatch_why_not(b, features);
        if (why_not) {
            kt_log(log, KT_LOG_DEBUG, "engine: %s is not used: %s", b->name, why_not);
            continue;
        }
        enum kt_status status = start_one(b, state);
        if (status == KT_E_NOMEM)
            return kt_fail(err, status, "memory ran out while the engine's backend %s was started", b->name);
        if (status == KT_OK) {
            *backend = b;
            return KT_OK;
        }
        kt_log(log, KT_LOG_WARN, "engine: %s is not used: %s", b->name,
               status == KT_E_DEVICE ? "its device does not start" : "it fails its known-answer test");
    }
    return kt_fail(err, KT_E_INTERNAL,
                   "no backend of the engine passes its known-answer test on this machine");
}

static enum kt_status unknown_name(struct kt_backends all, const char *name, struct kt_error *err)
{
    char names[128] = "auto";
    size_t used = strlen(names);
    for (size_t i = 0; i < all.count && used + strlen(all.list[i]->name) + 3 < sizeof names; i++) {
        memcpy(names + used, ", ", 2);
        memcpy(names + used + 2, all.list[i]->name, strlen(all.list[i]->name) + 1);
        used += 2 + strlen(all.list[i]->name);
    }
    return kt_fail(err, KT_E_USAGE, "there is no backend \"%.40s\" in this build; choose one of %s", name,
                   names);
}

enum kt_status kt_dispatch_start(struct kt_backends all, const struct kt_engine_options *options,
                                 uint32_t features, const struct kt_backend **backend,
                                 struct kt_region *state, struct kt_error *err)
{
    const char *name = options->backend;
    if (!name || strcmp(name, "auto") == 0)
        return start_first(all, options->log, features, backend, state, err);
    for (size_t i = 0; i < all.count; i++) {
        if (strcmp(all.list[i]->name, name) != 0)
            continue;
        const char *why_not = kt_dispatch_why_not(all.list[i], features);
        if (why_not)
            return kt_fail(err, KT_E_USAGE, "backend %s cannot run here: %s; use auto", name, why_not);
        return start_first((struct kt_backends){all.list + i, 1}, options->log, features, backend, state,
                           err);
    }
    return unknown_name(all, name, err);
}
