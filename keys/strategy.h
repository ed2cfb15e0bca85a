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
 * caller's and stays until done is called. dek points to KT_DEK_NBYTES in locked memory. */
struct kt_wrap_item {
    struct kt_span wrapped;
    struct kt_span master_key; /* BSON, normalised */
    uint8_t *dek;
    uint8_t *made;
    uint32_t made_capacity, made_nbytes;
    enum kt_status status; /* KT_OK, KT_E_UNAUTHENTIC, KT_E_KEY, KT_E_DENIED, KT_E_NET */
    const char *reason;    /* static or owned by the strategy until the next call; NULL when KT_OK */
};

struct kt_wrap_batch {
    struct kt_wrap_item *items;
    size_t count;
    const struct kt_provider *provider;        /* one provider a batch */
    void (*done)(struct kt_wrap_batch *batch); /* called exactly once, when every item has its status */
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
};

/* provider "local": the same AEAD as values, no AAD, 160 bytes. Stateless; items of a batch go through the
 * engine together. */
extern const struct kt_strategy kt_strategy_local;

/* The strategy for a provider; NULL when this build or configuration has none. */
const struct kt_strategy *kt_strategy_for(enum kt_kms kms);

#endif
