/* SPDX-License-Identifier: Apache-2.0 */
/* All DEKs that a job meets. A key is known by a handle, which never changes; it is looked up in the key
 * vault once, unwrapped once, and then rests sealed under an ephemeral key that lives in locked memory (so
 * memory for secrets does not grow with the number of keys). Prepared keys are made from resting ones by each
 * worker's dek_cache.
 *
 * Threads: any, except where a function takes an engine, which is the caller's. */
#ifndef KT_KEYS_KEY_TABLE_H
#define KT_KEYS_KEY_TABLE_H

#include "common/secmem.h"
#include "csfle/key_doc.h"
#include "keys/providers.h"
#include "keys/strategy.h"
#include "keyturn/engine.h"

/* Where key documents come from: a key vault in a file or on a server. */
struct kt_key_query {
    const uint8_t *id;   /* 16 bytes, or NULL: by name */
    struct kt_span name; /* keyAltName */
};
struct kt_key_source {
    void *context;
    /* Calls found(arg, key) for each key document that matches one of the queries, in any order; the document
     * is borrowed for the call. Called under the table's lock: one call at a time, from any thread. KT_OK
     * (also when nothing matches), KT_E_IO, KT_E_NET, KT_E_FORMAT, KT_E_KEY (a matching document is no legal
     * key document), KT_E_NOMEM. */
    enum kt_status (*find)(void *context, const struct kt_key_query *queries, size_t count,
                           void (*found)(void *arg, const struct kt_key_doc *key), void *arg,
                           struct kt_error *err);
};

/* A batch that waits for keys. ready is called once, from the thread that settled the last of them; it must
 * not call the table. From then on the waiter is the caller's again. */
struct kt_key_waiter {
    void (*ready)(struct kt_key_waiter *waiter);
    struct kt_key_waiter *next; /* the table's */
    size_t open;                /* the table's */
};

enum kt_key_state { KT_KEY_NEW, KT_KEY_ASKED, KT_KEY_READY, KT_KEY_FAILED };

struct kt_key_table;

struct kt_key_table_options {
    const struct kt_providers *providers;
    struct kt_secmem *secmem;
    struct kt_key_source source;
    struct kt_strategies strategies; /* zero-initialised: local providers only */
    /* Told of each key that is handed to its provider, under the table's lock. NULL: nobody asks. */
    void (*asked)(void *context, struct kt_span master_key);
    void *asked_context;
    const struct kt_log *log;
};
/* engine prepares the ephemeral key and is not kept. KT_OK, KT_E_NOMEM (locked memory too), KT_E_INTERNAL (no
 * random bytes). Free it when no strategy owes an answer any more. */
KT_MUST_USE enum kt_status kt_key_table_new(struct kt_key_table **table,
                                            const struct kt_key_table_options *options,
                                            struct kt_engine *engine, struct kt_error *err);
void kt_key_table_free(struct kt_key_table *table);

/* The handle of a key, new or known; no look-up yet, and no lock when it is known. A name's handle differs
 * from its key's; once it is settled, kt_key_table_key gives the key's. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_key_table_by_id(struct kt_key_table *table, const uint8_t id[16],
                                              uint32_t *handle);
KT_MUST_USE enum kt_status kt_key_table_by_name(struct kt_key_table *table, struct kt_span name,
                                                uint32_t *handle);

/* Sees to it that every handle is READY or FAILED: looks up the new ones with one find, unwraps what it
 * found. settled true: all are, waiter is untouched. false: some keys are on their way, also those that
 * another thread asked for; the waiter is called once the last has come, perhaps from another thread before
 * this has returned, so a caller that gets false no longer touches what ready hands on. waiter NULL: nobody
 * is called. A key that cannot be had is FAILED for itself; only a source that fails makes this fail, and
 * then a later call asks again. KT_OK, what the source said, or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_key_table_settle(struct kt_key_table *table, struct kt_engine *engine,
                                               const uint32_t *handles, size_t count,
                                               struct kt_key_waiter *waiter, bool *settled,
                                               struct kt_error *err);

/* After settling. The handle of the key itself: the same for ids, for a name its key's; KT_NO_KEY
 * (csfle/walk.h) when FAILED. */
uint32_t kt_key_table_key(const struct kt_key_table *table, uint32_t handle);
enum kt_key_state kt_key_table_state(const struct kt_key_table *table, uint32_t handle);

/* FAILED: KT_E_NO_KEY, KT_E_NO_PROVIDER, KT_E_KEY (not 96 bytes; a name or _id that two keys have),
 * KT_E_UNAUTHENTIC, KT_E_DENIED ..., and a sentence that names key, provider and way out, without a final
 * full stop; it lives as long as the table. Else KT_OK and NULL. Past 65,536 sentences the status's text. */
enum kt_status kt_key_table_failure(const struct kt_key_table *table, uint32_t handle, const char **why);

/* The key's UUID, 16 bytes, as long as the table lives. For a name that FAILED: NULL. */
const uint8_t *kt_key_table_id(const struct kt_key_table *table, uint32_t handle);

#endif
