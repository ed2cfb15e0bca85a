/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_load.h"

#include <stdlib.h>
#include <string.h>

#include "bench/bench_peer.h"

const char *bench_op_name(enum bench_op op)
{
    static const char *const names[] = {"seal", "seal-random", "seal-deterministic",
                                        "open", "rewrap",      "seal-new-keys"};
    return names[op];
}

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void fill(uint64_t *seed, uint8_t *p, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i += 8) {
        uint64_t x = next_random(seed);
        memcpy(p + i, &x, nbytes - i < 8 ? nbytes - i : 8);
    }
}

/* Lengths of the six fields of a customer as BSON values (quantiles 0, 1/8 .. 1 of MongoDB's
 * sample_analytics): name, address, birthdate, accounts, email, username. */
static uint32_t real_length(uint64_t *seed)
{
    static const uint8_t lengths[6][9] = {
        {13, 16, 17, 18, 18, 19, 20, 21, 28}, {26, 38, 43, 46, 48, 52, 55, 57, 63},
        {8, 8, 8, 8, 8, 8, 8, 8, 8},          {12, 12, 19, 26, 26, 33, 40, 47, 47},
        {18, 22, 23, 24, 25, 26, 28, 29, 34}, {9, 12, 13, 13, 15, 16, 17, 19, 25}};
    uint64_t x = next_random(seed);
    return lengths[x % 6][x / 6 % 9];
}

static uint32_t length_of(const struct bench_load *l, uint64_t *seed)
{
    if (l->op == BENCH_REWRAP)
        return KT_DEK_NBYTES;
    if (l->size == BENCH_MIX_8_100)
        return 8 + (uint32_t)(next_random(seed) % 93);
    return l->size == BENCH_MIX_REAL ? real_length(seed) : (uint32_t)l->size;
}

/* Messages back to back, as a batch of laid-out documents has them but for the bytes between. */
static void lay_out(struct bench_load *l, uint64_t *seed)
{
    bool opening = l->op == BENCH_OPEN || l->op == BENCH_REWRAP;
    uint32_t in = 0, out = 0;
    for (size_t i = 0; i < l->count; i++) {
        uint32_t nbytes = length_of(l, seed), sealed = (uint32_t)KT_SEALED_NBYTES(nbytes);
        uint8_t aad = l->op == BENCH_REWRAP ? 0 : KT_AAD_NBYTES;
        struct kt_msg *m = &l->msgs[i];
        l->lengths[i] = nbytes;
        in += opening ? aad : 0;
        out += opening ? 0 : aad;
        *m = (struct kt_msg){.in = in,
                             .in_nbytes = opening ? sealed : nbytes,
                             .out = out,
                             .key = (uint32_t)(l->keys_count > 1 ? i % l->keys_count : 0),
                             .aad_nbytes = aad,
                             .mode = l->op == BENCH_SEAL_DETERMINISTIC                 ? KT_MODE_DETERMINISTIC
                                     : l->op == BENCH_SEAL || l->op == BENCH_SEAL_KEYS ? KT_MODE_IV_GIVEN
                                                                                       : KT_MODE_RANDOM};
        in += opening ? sealed : nbytes;
        out += l->op == BENCH_OPEN ? sealed - 48 : sealed;
        uint64_t mac = (aad + sealed - 32 + 8 + 17 + 127) / 128 + 1,
                 iv = (aad + 8 + nbytes + 17 + 127) / 128 + 1;
        l->hash_blocks +=
            mac * (l->op == BENCH_REWRAP ? 2 : 1) + (l->op == BENCH_SEAL_DETERMINISTIC ? iv : 0);
        l->aes_blocks += (nbytes / 16 + 1) * (l->op == BENCH_REWRAP ? 2 : 1);
        l->plain_nbytes += nbytes;
    }
    l->in_nbytes = in;
    l->out_nbytes = out;
}

/* Plaintexts are BSON binary values and AADs those of stored values, so that any CSFLE implementation takes
 * them. */
static void frame_value(uint8_t *p, uint32_t nbytes)
{
    if (nbytes < 5)
        return;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)((nbytes - 5) >> (8 * i));
    p[4] = 0;
}

static void frame_aad(uint8_t *sealed, const struct kt_msg *m)
{
    if (m->aad_nbytes != KT_AAD_NBYTES)
        return;
    sealed[-18] = m->mode == KT_MODE_DETERMINISTIC ? 1 : 2;
    bench_key_uuid(m->key, sealed - 17);
    sealed[-1] = 5;
}

void bench_key_uuid(uint32_t key, uint8_t uuid[16])
{
    memset(uuid, 0x42, 16);
    for (int i = 0; i < 4; i++)
        uuid[i] = (uint8_t)(key >> (8 * i));
}

static void make_sealed_input(struct bench_load *l, uint64_t *seed)
{
    uint8_t *plain = malloc(l->in_nbytes + 1);
    if (!plain)
        abort();
    fill(seed, plain, l->in_nbytes);
    for (size_t i = 0; i < l->count; i++) {
        const struct kt_msg *m = &l->msgs[i];
        uint32_t nbytes = l->lengths[i];
        uint8_t given[16];
        fill(seed, given, sizeof given);
        if (l->op == BENCH_OPEN)
            frame_value(plain + m->in, nbytes);
        frame_aad(l->in + m->in, m);
        bench_reference_seal(l->deks[m->key], given, l->in + m->in - m->aad_nbytes, m->aad_nbytes,
                             plain + m->in, nbytes, l->in + m->in);
        if (l->op == BENCH_OPEN)
            memcpy(l->expected + m->out, plain + m->in, nbytes);
    }
    free(plain);
}

static void make_expected(struct bench_load *l)
{
    memcpy(l->expected, l->out, l->out_nbytes);
    for (size_t i = 0; i < l->count; i++) {
        const struct kt_msg *m = &l->msgs[i];
        uint8_t *at = l->expected + m->out;
        frame_value(l->in + m->in, m->in_nbytes);
        frame_aad(l->out + m->out, m);
        frame_aad(at, m);
        bench_reference_seal(l->deks[m->key], m->mode == KT_MODE_DETERMINISTIC ? NULL : at,
                             at - m->aad_nbytes, m->aad_nbytes, l->in + m->in, m->in_nbytes, at);
    }
}

struct bench_load *bench_load_new(enum bench_op op, int size, size_t count, size_t keys, uint64_t seed)
{
    struct bench_load *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->op = op;
    l->size = size;
    l->count = count;
    l->keys_count = op == BENCH_SEAL_KEYS ? count : op == BENCH_REWRAP ? 2 : keys;
    l->msgs = calloc(count, sizeof *l->msgs);
    l->lengths = calloc(count, sizeof *l->lengths);
    l->deks = malloc((l->keys_count + 1) * sizeof *l->deks);
    if (!l->msgs || !l->lengths || !l->deks)
        goto fail;
    lay_out(l, &seed);
    for (size_t i = 0; op == BENCH_REWRAP && i < count; i++)
        l->msgs[i].key = 0;
    l->in = malloc(l->in_nbytes + 1);
    l->out = malloc(l->out_nbytes + 1);
    l->expected = malloc(l->out_nbytes + 1);
    if (!l->in || !l->out || !l->expected)
        goto fail;
    fill(&seed, l->deks[0], l->keys_count * sizeof *l->deks);
    fill(&seed, l->in, l->in_nbytes);
    fill(&seed, l->out, l->out_nbytes);
    if (op == BENCH_OPEN || op == BENCH_REWRAP)
        make_sealed_input(l, &seed);
    else
        make_expected(l);
    return l;
fail:
    bench_load_free(l);
    return NULL;
}

void bench_load_free(struct bench_load *l)
{
    if (!l)
        return;
    free(l->msgs);
    free(l->lengths);
    free(l->deks);
    free(l->in);
    free(l->out);
    free(l->expected);
    free(l);
}

void bench_load_spoil(struct bench_load *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct kt_msg *m = &l->msgs[i];
        if (l->op == BENCH_OPEN)
            memset(l->out + m->out, 0xa5, m->in_nbytes - 48);
        else
            memset(l->out + m->out + 16, 0xa5,
                   (l->op == BENCH_REWRAP ? KT_WRAPPED_NBYTES : KT_SEALED_NBYTES(m->in_nbytes)) - 16);
    }
}

static bool rewrapped(const struct bench_load *l, const struct kt_msg *m)
{
    uint8_t before[KT_WRAPPED_NBYTES], after[KT_WRAPPED_NBYTES];
    return bench_reference_open(l->deks[0], NULL, 0, l->in + m->in, KT_WRAPPED_NBYTES, before) ==
               KT_DEK_NBYTES &&
           bench_reference_open(l->deks[1], NULL, 0, l->out + m->out, KT_WRAPPED_NBYTES, after) ==
               KT_DEK_NBYTES &&
           memcmp(before, after, KT_DEK_NBYTES) == 0;
}

bool bench_load_verify(const struct bench_load *l)
{
    static uint8_t plain[1 << 20];
    bool good = true;
    for (size_t i = 0; i < l->count && good; i++) {
        const struct kt_msg *m = &l->msgs[i];
        const uint8_t *out = l->out + m->out;
        if (l->op == BENCH_REWRAP)
            good = rewrapped(l, m);
        else if (l->op == BENCH_OPEN)
            good = m->out_nbytes == l->lengths[i] && memcmp(out, l->expected + m->out, m->out_nbytes) == 0;
        else if (l->op == BENCH_SEAL_RANDOM)
            good = bench_reference_open(l->deks[m->key], out - m->aad_nbytes, m->aad_nbytes, out,
                                        KT_SEALED_NBYTES(m->in_nbytes), plain) == (long)m->in_nbytes &&
                   memcmp(plain, l->in + m->in, m->in_nbytes) == 0;
        else
            good = memcmp(out, l->expected + m->out, KT_SEALED_NBYTES(m->in_nbytes)) == 0;
    }
    return good;
}
