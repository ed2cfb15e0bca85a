/* SPDX-License-Identifier: Apache-2.0 */
/* Run under Valgrind: DEKs and plaintexts are marked undefined, and so every branch or address that depends
 * on them is an error. The backends are compiled anew for this, declassifying what KT_DECLASSIFY names; the
 * AVX-512 one on generic vectors. constant_time BACKEND; "leak" as a second argument branches on a secret, so
 * that a test can see that it would be noticed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "engine/backend.h"

#define COUNT 150
#define KEYS 5
#define SLOT 1400

static const struct kt_backend *const backends[] = {&kt_backend_scalar, &kt_backend_avx2, &kt_backend_avx512};

static struct kt_key prepared[KEYS];
static uint8_t deks[KEYS][KT_DEK_NBYTES], plain[COUNT * SLOT], sealed[COUNT * SLOT], opened[COUNT * SLOT];
static struct kt_msg msgs[COUNT];

/* Lengths that take every way: short, one and more chunks of a row, one message alone much longer. */
static uint32_t length_of(uint32_t i)
{
    return i % 10 == 9 ? 500 + 5 * (i % 100) : i * 7 % 211;
}

static void lay_out(uint32_t keys)
{
    for (uint32_t i = 0; i < COUNT; i++)
        msgs[i] = (struct kt_msg){.in = SLOT * i,
                                  .in_nbytes = length_of(i),
                                  .out = SLOT * i + KT_AAD_NBYTES,
                                  .out_nbytes = (uint32_t)KT_SEALED_NBYTES(length_of(i)),
                                  .key = i % keys,
                                  .aad_nbytes = KT_AAD_NBYTES,
                                  .mode = i % 3 ? KT_MODE_IV_GIVEN : KT_MODE_DETERMINISTIC};
}

/* Opening what was sealed; message 3 with another tag, 4 with padding that is none (of an otherwise right tag
 * it cannot be made here: both verdicts are taken by the same code). */
static int open_all(const struct kt_backend *backend, void *state, struct kt_batch batch)
{
    for (uint32_t i = 0; i < COUNT; i++)
        msgs[i] = (struct kt_msg){.in = msgs[i].out,
                                  .in_nbytes = msgs[i].out_nbytes,
                                  .out = SLOT * i,
                                  .key = msgs[i].key,
                                  .aad_nbytes = KT_AAD_NBYTES};
    sealed[msgs[3].in + msgs[3].in_nbytes - 1] ^= 1;
    batch.in = sealed;
    batch.in_nbytes = sizeof sealed;
    batch.out = opened;
    batch.out_nbytes = sizeof opened;
    backend->open(state, &batch);
    VALGRIND_MAKE_MEM_DEFINED(opened, sizeof opened);
    VALGRIND_MAKE_MEM_DEFINED(plain, sizeof plain);
    int wrong = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        if (i == 3)
            wrong += msgs[i].status != KT_E_UNAUTHENTIC;
        else
            wrong += msgs[i].status != KT_OK || msgs[i].out_nbytes != length_of(i) ||
                     memcmp(opened + SLOT * i, plain + SLOT * i, length_of(i)) != 0;
    return wrong;
}

static int check(const struct kt_backend *backend, void *state, uint32_t keys)
{
    struct kt_key *to[KEYS];
    const struct kt_key *from[KEYS];
    for (size_t i = 0; i < KEYS; i++)
        from[i] = to[i] = &prepared[i];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 131 + 7);
    for (size_t i = 0; i < sizeof deks; i++)
        ((uint8_t *)deks)[i] = (uint8_t)(i * 29 + 3);
    memset(sealed, 2, sizeof sealed);
    lay_out(keys);
    VALGRIND_MAKE_MEM_UNDEFINED(deks, sizeof deks);
    VALGRIND_MAKE_MEM_UNDEFINED(plain, sizeof plain);
    backend->prepare(state, deks[0], to, KEYS);
    struct kt_batch batch = {plain, sizeof plain, sealed, sizeof sealed, from, KEYS, msgs, COUNT};
    backend->seal(state, &batch);
    return open_all(backend, state, batch);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof backends / sizeof backends[0]; i++) {
        const struct kt_backend *b = backends[i];
        if (strcmp(b->name, argv[1]) != 0)
            continue;
        void *state = aligned_alloc(64, (b->state_nbytes + 63) / 64 * 64);
        if (!state)
            return 1;
        memset(state, 0, b->state_nbytes);
        int wrong = check(b, state, 1) + check(b, state, KEYS);
        if (argc > 2 && prepared[0].enc[3][3] == 42)
            puts("the leak");
        for (size_t j = 0; j < b->state_nbytes; j++)
            if (VALGRIND_CHECK_MEM_IS_DEFINED((uint8_t *)state + j, 1) != 0) {
                printf("%s leaves secrets in its state at %zu\n", b->name, j);
                return 1;
            }
        printf("%s ran, %d wrong results\n", b->name, wrong);
        free(state);
        return wrong != 0;
    }
    puts("usage: constant_time scalar|avx2|avx512 [leak]");
    return 2;
}
