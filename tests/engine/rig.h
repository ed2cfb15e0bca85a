/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's tests share: every engine this machine can open, keys, guarded arenas, random numbers. */
#ifndef KT_TESTS_ENGINE_RIG_H
#define KT_TESTS_ENGINE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keyturn/engine.h"

/* Opens backend i that this machine can use, fastest first; NULL past the last. The caller closes it. */
struct kt_engine *rig_engine(size_t i);

#define EACH_ENGINE(engine)                                                                                  \
    struct kt_engine *engine;                                                                                \
    for (size_t i_ = 0; (engine = rig_engine(i_)) != NULL; kt_engine_close(engine), i_++)

/* n prepared keys from n DEKs, each aligned; free with rig_keys_free. */
struct rig_keys {
    struct kt_key **keys;
    uint8_t *memory;
    size_t count;
};
struct rig_keys rig_keys(struct kt_engine *engine, const uint8_t *deks, size_t n);
void rig_keys_free(struct rig_keys *keys);

/* nbytes that begin right behind an unmapped page (flush_start) or end right before one. */
struct rig_arena {
    uint8_t *data, *map;
    size_t nbytes, map_nbytes;
};
struct rig_arena rig_arena(size_t nbytes, bool flush_start);
void rig_arena_free(struct rig_arena *arena);

/* Where rig_seal_one and rig_open_one put their arenas' guard pages; false at first. */
extern bool rig_flush_start;

/* splitmix64: the tests' random numbers; the seed is printed by whoever sets it. */
uint64_t rig_random(uint64_t *seed);
uint32_t rig_below(uint64_t *seed, uint32_t n);
void rig_fill(uint64_t *seed, uint8_t *p, size_t nbytes);

/* KEYTURN_SEED or a fixed one. */
uint64_t rig_seed(void);

/* One message, one key. sealed has KT_SEALED_NBYTES(nbytes) bytes. mode IV_GIVEN takes iv. */
enum kt_status rig_seal_one(struct kt_engine *engine, const uint8_t dek[96], uint8_t mode, const uint8_t *iv,
                            const uint8_t *aad, size_t aad_nbytes, const uint8_t *plain, size_t nbytes,
                            uint8_t *sealed);
/* Returns the message's status. plain has nbytes - 48 bytes of room. */
enum kt_status rig_open_one(struct kt_engine *engine, const uint8_t dek[96], const uint8_t *aad,
                            size_t aad_nbytes, const uint8_t *sealed, size_t nbytes, uint8_t *plain,
                            size_t *plain_nbytes);

#endif
