/* SPDX-License-Identifier: Apache-2.0 */
/* The CMKs that wrap the keys of a key vault: found while it is read, tried before anything depends on them.
 */
#ifndef KT_JOBS_CMKS_H
#define KT_JOBS_CMKS_H

#include "common/secmem.h"
#include "csfle/key_doc.h"
#include "keys/providers.h"
#include "keys/strategy.h"
#include "keyturn/engine.h"

/* A single damaged DEK must not make its CMK look unusable. */
#define KT_PROBE_KEYS 4

struct kt_cmk {
    struct kt_buf master_key;           /* as it stands in the key documents */
    const struct kt_provider *provider; /* NULL: not configured */
    const struct kt_strategy *strategy; /* NULL: no provider, or no way to its KMS */
    char name[96];                      /* for screens */
    uint64_t keys;                      /* that kt_cmks_count was called for */
    struct kt_buf probe[KT_PROBE_KEYS]; /* some of their wraps */
    size_t opened;                      /* the probe that did, when tried is KT_OK */
    size_t probes;
    size_t rank;           /* audit: place beside cmks.v */
    enum kt_status tried;  /* by kt_cmks_try: KT_OK, or why none of the probes opened */
    const char *why;       /* a sentence; NULL: KT_OK, or not tried */
    struct kt_cmk *to;     /* rewrap: what its keys are wrapped under afterwards; borrowed */
    bool reencrypts;       /* rewrap: one request of the KMS makes the new wrap of the old one */
    uint64_t rewrapped;    /* rewrap: writer's thread */
    _Atomic uint64_t seen; /* rewrap: keys planned; decides which are proven */
};

/* Drivers make one KMIP object per DEK unless told otherwise, so there may be as many CMKs as keys. */
struct kt_cmks {
    struct kt_cmk **v; /* each stays where it is */
    size_t count, capacity;
    uint32_t *places; /* hash of masterKey -> index + 1 */
    size_t places_mask;
    const struct kt_providers *providers;
    const struct kt_strategies *strategies;
};

void kt_cmks_free(struct kt_cmks *cmks);

/* NULL: not there. Any thread, once nothing is added any more. */
struct kt_cmk *kt_cmks_find(const struct kt_cmks *cmks, struct kt_span master_key);

/* Counts a key for its CMK, which is added when it is new. KT_OK (also when its provider is not configured)
 * or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_cmks_count(struct kt_cmks *cmks, const struct kt_key_doc *key,
                                         struct kt_cmk **cmk);

/* Whether a key's failure is no fault of the key: a KMS that is away, credentials that have died, a stop. The
 * job ends and goes on later. */
bool kt_job_ends_with(enum kt_status status);

/* Makes a CMK of its own from a stored masterKey. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_cmk_new(struct kt_cmk **cmk, const struct kt_cmks *cmks,
                                      struct kt_span master_key);
void kt_cmk_free(struct kt_cmk *cmk);
struct kt_span kt_cmk_stored(const struct kt_cmk *cmk);

/* kt_cmks_try has found that its KMS does not let us use it: its keys fail without being asked for. */
bool kt_cmk_refuses(const struct kt_cmk *cmk);

/* The id in masterKey.provider, copied, cut to fit. */
void kt_cmk_provider_id(const struct kt_cmk *cmk, char *out, size_t nbytes);

/* Opens one probe of every CMK of the lists that has a strategy, many at once, and others of those that do
 * not open; sets .tried and .why. A KMS that does not answer is waited for once: what it said of one CMK is
 * said of the others. KT_OK; KT_E_NOMEM (locked memory too). */
KT_MUST_USE enum kt_status kt_cmks_try(struct kt_cmks *const *lists, size_t count, struct kt_secmem *secmem,
                                       struct kt_engine *engine);

/* Runs one batch of a strategy and waits for its answer. KT_OK: every item has its status. */
typedef enum kt_status (*kt_strategy_fn)(const struct kt_strategy *strategy, struct kt_engine *engine,
                                         struct kt_wrap_batch *batch);
KT_MUST_USE enum kt_status kt_strategy_ask(const struct kt_cmk *cmk, kt_strategy_fn run,
                                           struct kt_engine *engine, struct kt_wrap_item *items,
                                           size_t count);

#endif
