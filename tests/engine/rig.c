/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool rig_flush_start;

struct kt_engine *rig_engine(size_t i)
{
    const char *name = NULL, *why_not = NULL;
    for (size_t k = 0; k < kt_engine_backends(k, &name, &why_not); k++) {
        if (why_not || i-- > 0)
            continue;
        struct kt_engine *engine;
        struct kt_error err;
        enum kt_status status = kt_engine_open(&engine, &(struct kt_engine_options){.backend = name}, &err);
        cr_assert(status == KT_OK, "%s: %s", name, err.message);
        cr_assert_str_eq(kt_engine_backend(engine), name);
        return engine;
    }
    return NULL;
}

struct rig_keys rig_keys(struct kt_engine *engine, const uint8_t *deks, size_t n)
{
    struct rig_keys k = {calloc(n + 1, sizeof *k.keys), aligned_alloc(KT_KEY_ALIGN, (n + 1) * KT_KEY_NBYTES),
                         n};
    cr_assert(k.keys && k.memory);
    for (size_t i = 0; i < n; i++)
        k.keys[i] = (struct kt_key *)(void *)(k.memory + i * KT_KEY_NBYTES);
    kt_keys_prepare(engine, deks, k.keys, n);
    return k;
}

void rig_keys_free(struct rig_keys *keys)
{
    free(keys->keys);
    free(keys->memory);
}

struct rig_arena rig_arena(size_t nbytes, bool flush_start)
{
    size_t page = 4096, inner = (nbytes + page - 1) / page * page + page;
    struct rig_arena a = {.nbytes = nbytes, .map_nbytes = inner + 2 * page};
    a.map = mmap(NULL, a.map_nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(a.map != MAP_FAILED);
    mprotect(a.map, page, PROT_NONE);
    mprotect(a.map + page + inner, page, PROT_NONE);
    a.data = flush_start ? a.map + page : a.map + page + inner - nbytes;
    return a;
}

void rig_arena_free(struct rig_arena *arena)
{
    munmap(arena->map, arena->map_nbytes);
}

uint64_t rig_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint32_t rig_below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(rig_random(seed) % n);
}

void rig_fill(uint64_t *seed, uint8_t *p, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i += 8) {
        uint64_t x = rig_random(seed);
        memcpy(p + i, &x, nbytes - i < 8 ? nbytes - i : 8);
    }
}

uint64_t rig_seed(void)
{
    const char *text = getenv("KEYTURN_SEED");
    return text ? strtoull(text, NULL, 0) : 20260101;
}

enum kt_status rig_seal_one(struct kt_engine *engine, const uint8_t dek[96], uint8_t mode, const uint8_t *iv,
                            const uint8_t *aad, size_t aad_nbytes, const uint8_t *plain, size_t nbytes,
                            uint8_t *sealed)
{
    struct rig_keys k = rig_keys(engine, dek, 1);
    struct rig_arena in = rig_arena(nbytes, rig_flush_start);
    struct rig_arena out = rig_arena(aad_nbytes + KT_SEALED_NBYTES(nbytes), rig_flush_start);
    if (nbytes)
        memcpy(in.data, plain, nbytes);
    if (aad_nbytes)
        memcpy(out.data, aad, aad_nbytes);
    if (iv)
        memcpy(out.data + aad_nbytes, iv, 16);
    struct kt_msg m = {.in_nbytes = (uint32_t)nbytes,
                       .out = (uint32_t)aad_nbytes,
                       .aad_nbytes = (uint16_t)aad_nbytes,
                       .mode = mode};
    struct kt_batch b = {in.data, in.nbytes, out.data, out.nbytes, (const struct kt_key *const *)k.keys,
                         1,       &m,        1};
    enum kt_status status = kt_seal(engine, &b);
    cr_assert_eq(m.out_nbytes, KT_SEALED_NBYTES(nbytes));
    memcpy(sealed, out.data + aad_nbytes, m.out_nbytes);
    rig_arena_free(&in);
    rig_arena_free(&out);
    rig_keys_free(&k);
    return status;
}

enum kt_status rig_open_one(struct kt_engine *engine, const uint8_t dek[96], const uint8_t *aad,
                            size_t aad_nbytes, const uint8_t *sealed, size_t nbytes, uint8_t *plain,
                            size_t *plain_nbytes)
{
    struct rig_keys k = rig_keys(engine, dek, 1);
    struct rig_arena in = rig_arena(aad_nbytes + nbytes, rig_flush_start);
    struct rig_arena out = rig_arena(nbytes > 48 ? nbytes - 48 : 0, rig_flush_start);
    memset(out.data, 0xa5, out.nbytes);
    if (aad_nbytes)
        memcpy(in.data, aad, aad_nbytes);
    if (nbytes)
        memcpy(in.data + aad_nbytes, sealed, nbytes);
    struct kt_msg m = {
        .in = (uint32_t)aad_nbytes, .in_nbytes = (uint32_t)nbytes, .aad_nbytes = (uint16_t)aad_nbytes};
    struct kt_batch b = {in.data, in.nbytes, out.data, out.nbytes, (const struct kt_key *const *)k.keys,
                         1,       &m,        1};
    enum kt_status status = kt_open(engine, &b);
    cr_assert_eq(status, m.status == KT_OK ? KT_OK : KT_E_ITEM);
    for (size_t i = 0; m.status != KT_OK && i < out.nbytes; i++)
        cr_assert_eq(out.data[i], 0xa5, "output of a failed message was written");
    memcpy(plain, out.data, m.out_nbytes);
    *plain_nbytes = m.out_nbytes;
    status = m.status;
    rig_arena_free(&in);
    rig_arena_free(&out);
    rig_keys_free(&k);
    return status;
}
