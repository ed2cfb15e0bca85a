/* SPDX-License-Identifier: Apache-2.0 */
/* Locked memory, an engine, local providers and a key vault in memory. Every function ends the program when
 * something that must work does not. */
#ifndef KT_TESTS_KEYS_FIXTURE_H
#define KT_TESTS_KEYS_FIXTURE_H

#include <bson/bson.h>

#include "keys/dek_cache.h"
#include "keys/key_table.h"
#include "keys/providers.h"
#include "keys/strategy.h"

struct fixture {
    struct kt_secmem *secmem;
    struct kt_engine *engine;
    struct kt_providers *providers;
    struct kt_buf *docs; /* the vault */
    size_t docs_count, docs_capacity;
    size_t finds;          /* how often the vault was asked */
    enum kt_status broken; /* what find answers instead, unless KT_OK */
};

/* local_ids: NULL-terminated; each gets a master key of its own. */
void fixture_open(struct fixture *f, const char *const *local_ids);
void fixture_close(struct fixture *f);

/* The master key that fixture_open gave to a provider of this id. */
void fixture_master_key(const char *id, uint8_t key[KT_DEK_NBYTES]);

/* DEK number n: 96 bytes that only n decides; its _id likewise. */
void fixture_dek(uint32_t n, uint8_t dek[KT_DEK_NBYTES]);
void fixture_id(uint32_t n, uint8_t id[16]);

/* Puts key n, wrapped under a configured provider, into the vault. names: NULL, or NULL-terminated. */
void fixture_add(struct fixture *f, uint32_t n, const char *provider, const char *const *names);

/* The same with any keyMaterial and _id, also under a provider that nobody configured. */
void fixture_add_raw(struct fixture *f, const uint8_t id[16], const char *provider, struct kt_span material,
                     const char *const *names);

void fixture_wrap(struct fixture *f, const char *provider, struct kt_span plaintext, uint8_t *out);

struct kt_key_source fixture_source(struct fixture *f);
struct kt_key_table *fixture_table(struct fixture *f, const struct kt_strategies *strategies);

uint32_t fixture_handle(struct kt_key_table *table, uint32_t n);
uint32_t fixture_name(struct kt_key_table *table, const char *name);

/* Seals under the prepared key and compares with what the DEK itself gives: true when it is key n. */
bool fixture_is_key(struct fixture *f, const struct kt_key *key, uint32_t n);

/* How often the bytes stand in the process's writable memory, the pool of locked memory left out. */
size_t fixture_count_in_memory(struct fixture *f, const uint8_t *needle, size_t nbytes);

#endif
