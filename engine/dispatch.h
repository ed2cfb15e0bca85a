/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend an engine uses. */
#ifndef KT_ENGINE_DISPATCH_H
#define KT_ENGINE_DISPATCH_H

#include "common/region.h"
#include "engine/backend.h"

/* A list of backends, fastest first. */
struct kt_backends {
    const struct kt_backend *const *list;
    size_t count;
};

/* What this build has. */
struct kt_backends kt_dispatch_all(void);

/* NULL, or why a CPU with these features cannot run the backend; lives for ever. */
const char *kt_dispatch_why_not(const struct kt_backend *backend, uint32_t features);

/* Starts the first backend of the list (or the named one) that these features allow and that passes its
 * known-answer test. One that fails it is logged as a warning and not used. *state is the started backend's
 * memory; the caller calls kt_dispatch_stop.
 * KT_OK, KT_E_USAGE (the name is unknown or unusable here), KT_E_NOMEM, KT_E_INTERNAL (none passes). */
KT_MUST_USE enum kt_status kt_dispatch_start(struct kt_backends all, const struct kt_engine_options *options,
                                             uint32_t features, const struct kt_backend **backend,
                                             struct kt_region *state, struct kt_error *err);
void kt_dispatch_stop(const struct kt_backend *backend, struct kt_region *state);

#endif
