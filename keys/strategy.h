/* SPDX-License-Identifier: Apache-2.0 */
/* How DEKs are unwrapped and wrapped under one kind of CMK. A strategy takes batches and answers by callback:
 * the local one before it returns, on the caller's engine; a remote one later, from the KMS event loop's
 * thread. */
#ifndef KT_KEYS_STRATEGY_H
#define KT_KEYS_STRATEGY_H

#include "csfle/key_doc.h"
#include "keys/providers.h"
#include "keyturn/engine.h"

/* One DEK. unwrap reads `wrapped` and writes dek; wrap reads dek and writes `made`. All memory is the
 * caller's and stays until done is called. dek points to KT_DEK_NBYTES in locked memory; it is not written
 * unless status is KT_OK. */
struct kt_wrap_item {
    struct kt_span wrapped;
    struct kt_span master_key; /* BSON, normalised */
    struct kt_span source;     /* rewrap only: the masterKey that `wrapped` is under */
    uint8_t *dek;
    uint8_t *made;
    uint32_t made_capacity, made_nbytes;
    enum kt_status status; /* KT_OK, KT_E_UNAUTHENTIC, KT_E_KEY, KT_E_DENIED, KT_E_NET */
    const char *reason;    /* lives as long as the strategy; NULL when KT_OK */
    bool away;             /* KT_E_NET, as the KMS was not to be reached for as long as a call may take */
};

struct kt_wrap_batch {
    struct kt_wrap_item *items;
    size_t count;
    const struct kt_provider *provider;        /* one provider a batch */
    void (*done)(struct kt_wrap_batch *batch); /* called exactly once, when every item has its status, from
                                                  any thread, while the strategy holds no lock; it
                                                  does not touch the batch again */
    void *context;
};

struct kt_strategy {
    const char *name;
    size_t wrapped_nbytes_max; /* room that `made` needs */
    /* engine is the calling thread's. A KT_* other than KT_OK means that done will not be called. */
    enum kt_status (*unwrap)(const struct kt_strategy *strategy, struct kt_engine *engine,
                             struct kt_wrap_batch *batch);
    enum kt_status (*wrap)(const struct kt_strategy *strategy, struct kt_engine *engine,
                           struct kt_wrap_batch *batch);
    void *state;

    /* All below may be NULL: the engine alone does the work. */

    /* A wrap under `source` becomes one under master_key without its DEK ever being seen; where can_rewrap
     * says so (for the source's provider and masterKey, and the target's). */
    enum kt_status (*rewrap)(const struct kt_strategy *strategy, struct kt_engine *engine,
                             struct kt_wrap_batch *batch);
    /* The same batch, but only asks whether it would be allowed; makes nothing. */
    enum kt_status (*try_rewrap)(const struct kt_strategy *strategy, struct kt_engine *engine,
                                 struct kt_wrap_batch *batch);
    bool (*can_rewrap)(const struct kt_strategy *strategy, const struct kt_provider *from,
                       struct kt_span from_master_key, struct kt_span to_master_key);

    /* Makes a wrap target of a masterKey: pins an Azure key's version, gives KMIP a key. Appends the document
     * to out. Waits. KT_OK, or why it cannot be used. */
    enum kt_status (*resolve)(const struct kt_strategy *strategy, struct kt_span master_key,
                              struct kt_buf *out, struct kt_error *err);

    /* Names what is asked for a masterKey, so that who got no answer there asks for no other. False: no name.
     */
    bool (*service)(const struct kt_strategy *strategy, struct kt_span master_key, char *out, size_t nbytes);

    /* Whether opening one more wrap takes a request: proofs are then made for a sample. */
    bool (*unwrap_asks)(const struct kt_strategy *strategy, struct kt_span master_key);
};

/* provider "local": the same AEAD as values, no AAD, 160 bytes. Stateless; items of a batch go through the
 * engine together, in runs. KT_E_NOMEM when no locked memory is left for them; KT_E_DEVICE, KT_E_INTERNAL as
 * the engine says. */
extern const struct kt_strategy kt_strategy_local;

/* The strategy that needs nothing but the engine; NULL for providers that need a KMS. */
const struct kt_strategy *kt_strategy_for(enum kt_kms kms);

/* How a job picks strategies: find gives a provider's, or NULL when there is none. Zero-initialised:
 * kt_strategy_for. Strategies that hold state (a KMS event loop) come in this way. */
struct kt_strategies {
    const struct kt_strategy *(*find)(void *context, const struct kt_provider *provider);
    void *context;
};
const struct kt_strategy *kt_strategies_find(const struct kt_strategies *strategies,
                                             const struct kt_provider *provider);

#endif
