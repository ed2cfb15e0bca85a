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

/* Messages of all lengths, which take every way: short, one and more chunks of a row, one message alone much
 * longer. And those that backends have ways of their own for: of one length, of DEKs that are wrapped, one.
 */
static const struct layout {
    uint32_t count, keys;
    uint32_t nbytes; /* 0: all lengths */
    uint16_t aad_nbytes;
} layouts[] = {{COUNT, 1, 0, KT_AAD_NBYTES},   {COUNT, KEYS, 0, KT_AAD_NBYTES}, {35, 1, 40, KT_AAD_NBYTES},
               {35, KEYS, 100, KT_AAD_NBYTES}, {20, 1, KT_DEK_NBYTES, 0},       {1, 1, 32, KT_AAD_NBYTES}};

static const struct kt_backend *const backends[] = {&kt_backend_scalar, &kt_backend_avx2, &kt_backend_avx512};

static struct kt_key prepared[KEYS];
static uint8_t deks[KEYS][KT_DEK_NBYTES], plain[COUNT * SLOT], sealed[COUNT * SLOT], opened[COUNT * SLOT];
static struct kt_msg msgs[COUNT];

static uint32_t length_of(const struct layout *layout, uint32_t i)
{
    return layout->nbytes ? layout->nbytes : i % 10 == 9 ? 500 + 5 * (i % 100) : i * 7 % 211;
}

static void lay_out(const struct layout *layout)
{
    for (uint32_t i = 0; i < layout->count; i++)
        msgs[i] = (struct kt_msg){.in = SLOT * i,
                                  .in_nbytes = length_of(layout, i),
                                  .out = SLOT * i + KT_AAD_NBYTES,
                                  .out_nbytes = (uint32_t)KT_SEALED_NBYTES(length_of(layout, i)),
                                  .key = i % layout->keys,
                                  .aad_nbytes = layout->aad_nbytes,
                                  .mode = i % 3 ? KT_MODE_IV_GIVEN : KT_MODE_DETERMINISTIC};
}

/* Opening what was sealed; message 3 with another tag. */
static int open_all(const struct kt_backend *backend, void *state, struct kt_batch batch,
                    const struct layout *layout)
{
    for (uint32_t i = 0; i < layout->count; i++)
        msgs[i] = (struct kt_msg){.in = msgs[i].out,
                                  .in_nbytes = msgs[i].out_nbytes,
                                  .out = SLOT * i,
                                  .key = msgs[i].key,
                                  .aad_nbytes = layout->aad_nbytes};
    if (layout->count > 3)
        sealed[msgs[3].in + msgs[3].in_nbytes - 1] ^= 1;
    batch.in = sealed;
    batch.in_nbytes = sizeof sealed;
    batch.out = opened;
    batch.out_nbytes = sizeof opened;
    backend->open(state, &batch);
    VALGRIND_MAKE_MEM_DEFINED(opened, sizeof opened);
    VALGRIND_MAKE_MEM_DEFINED(plain, sizeof plain);
    int wrong = 0;
    for (uint32_t i = 0; i < layout->count; i++) {
        uint32_t nbytes = length_of(layout, i);
        if (i == 3)
            wrong += msgs[i].status != KT_E_UNAUTHENTIC;
        else
            wrong += msgs[i].status != KT_OK || msgs[i].out_nbytes != nbytes ||
                     memcmp(opened + SLOT * i, plain + SLOT * i, nbytes) != 0;
    }
    return wrong;
}

static int check(const struct kt_backend *backend, void *state, const struct layout *layout)
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
    lay_out(layout);
    VALGRIND_MAKE_MEM_UNDEFINED(deks, sizeof deks);
    VALGRIND_MAKE_MEM_UNDEFINED(plain, sizeof plain);
    backend->prepare(state, deks[0], to, KEYS);
    struct kt_batch batch = {plain, sizeof plain, sealed, sizeof sealed, from, KEYS, msgs, layout->count};
    backend->seal(state, &batch);
    return open_all(backend, state, batch, layout);
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
        int wrong = 0;
        for (size_t j = 0; j < sizeof layouts / sizeof layouts[0]; j++)
            wrong += check(b, state, &layouts[j]);
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
