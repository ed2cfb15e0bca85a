/* SPDX-License-Identifier: Apache-2.0 */
/* Random batches against OpenSSL: the whole output arena is compared, so that a byte written beside a message
 * shows too. KEYTURN_RANDOM_MESSAGES sets how many messages each backend gets (default 12,000), KEYTURN_SEED
 * the seed. At length: KEYTURN_RANDOM_MESSAGES=10000000 test_engine --filter 'random/agrees*' */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/oracle.h"
#include "tests/engine/rig.h"

#define MAX_MSGS 6000 /* more than a window of engine/engine.c */
#define MAX_KEYS 1500

struct trial {
    struct kt_engine *engine;
    uint64_t seed;
    uint32_t msgs_count, keys_count;
    uint32_t in_nbytes, out_nbytes;
    struct rig_arena in, out;
    uint8_t *expected;
    uint8_t deks[MAX_KEYS][96];
    struct rig_keys keys;
    struct kt_msg msgs[MAX_MSGS];
};

static uint32_t random_length(uint64_t *seed, uint32_t style)
{
    switch (style) {
    case 0:
        return rig_below(seed, 301);
    case 1:
        return 8 + rig_below(seed, 93);
    case 2:
        return rig_below(seed, 16) == 0 ? rig_below(seed, 20000) : rig_below(seed, 70);
    default:
        return 16 * rig_below(seed, 9);
    }
}

/* What decides whether groups of messages are alike: lengths within one step of 16, and one length of AAD.
 */
struct likeness {
    bool one_class, one_aad;
    uint32_t lowest;
    uint8_t aad;
};

static struct likeness random_likeness(uint64_t *seed)
{
    return (struct likeness){.one_class = rig_below(seed, 4) == 0,
                             .one_aad = rig_below(seed, 2),
                             .lowest = 16 * rig_below(seed, 34),
                             .aad = rig_below(seed, 2) ? KT_AAD_NBYTES : 0};
}

static uint8_t random_aad(uint64_t *seed)
{
    uint32_t x = rig_below(seed, 8);
    return x == 0 ? 0 : x == 1 ? (uint8_t)rig_below(seed, 256) : KT_AAD_NBYTES;
}

/* Shape of the batch: few keys or one per message, one length or many, gaps of any size between messages. */
static void lay_out(struct trial *t)
{
    static const uint32_t key_counts[] = {1, 1, 2, 7, 64, MAX_KEYS};
    uint32_t style = rig_below(&t->seed, 4),
             fixed = rig_below(&t->seed, 3) == 0 ? rig_below(&t->seed, 301) : 0;
    uint32_t gap = rig_below(&t->seed, 2) ? 1 : 40;
    struct likeness like = random_likeness(&t->seed);
    t->keys_count = key_counts[rig_below(&t->seed, 6)];
    t->msgs_count = 1 + rig_below(&t->seed, rig_below(&t->seed, 3) ? 80 : MAX_MSGS);
    t->in_nbytes = t->out_nbytes = 0;
    for (uint32_t i = 0; i < t->msgs_count; i++) {
        uint32_t nbytes = fixed            ? fixed
                          : like.one_class ? like.lowest + rig_below(&t->seed, 16)
                                           : random_length(&t->seed, style);
        uint8_t aad = like.one_aad ? like.aad : random_aad(&t->seed);
        t->in_nbytes += rig_below(&t->seed, gap);
        t->out_nbytes += rig_below(&t->seed, gap) + aad;
        t->msgs[i] = (struct kt_msg){.in = t->in_nbytes,
                                     .in_nbytes = nbytes,
                                     .out = t->out_nbytes,
                                     .key = rig_below(&t->seed, t->keys_count),
                                     .aad_nbytes = aad,
                                     .mode = (uint8_t)rig_below(&t->seed, 3)};
        t->in_nbytes += nbytes;
        t->out_nbytes += (uint32_t)KT_SEALED_NBYTES(nbytes);
    }
}

static struct kt_batch batch_of(struct trial *t)
{
    return (struct kt_batch){
        t->in.data,    t->in.nbytes, t->out.data,  t->out.nbytes, (const struct kt_key *const *)t->keys.keys,
        t->keys_count, t->msgs,      t->msgs_count};
}

static void seal_and_compare(struct trial *t)
{
    memcpy(t->expected, t->out.data, t->out_nbytes);
    struct kt_batch batch = batch_of(t);
    cr_assert_eq(kt_seal(t->engine, &batch), KT_OK);
    for (uint32_t i = 0; i < t->msgs_count; i++) {
        const struct kt_msg *m = &t->msgs[i];
        uint8_t *at = t->expected + m->out;
        const uint8_t *iv = m->mode == KT_MODE_RANDOM     ? t->out.data + m->out
                            : m->mode == KT_MODE_IV_GIVEN ? at
                                                          : NULL;
        size_t n = oracle_seal(t->deks[m->key], iv, at - m->aad_nbytes, m->aad_nbytes, t->in.data + m->in,
                               m->in_nbytes, at);
        cr_assert(m->status == KT_OK && m->out_nbytes == n);
        cr_assert(memcmp(at, t->out.data + m->out, n) == 0, "%s: message %u of %u, %u bytes, mode %u, aad %u",
                  kt_engine_backend(t->engine), i, t->msgs_count, m->in_nbytes, m->mode, m->aad_nbytes);
    }
    cr_assert(memcmp(t->expected, t->out.data, t->out_nbytes) == 0, "bytes beside a message were written");
}

/* Opens into a fresh arena; about every eighth message is tampered with in one bit of AAD, IV, blocks or tag.
 */
static void open_and_compare(struct trial *t)
{
    struct rig_arena plain = t->in, sealed = t->out;
    uint32_t out_nbytes = 0;
    bool tampered[MAX_MSGS], any = false;
    struct kt_msg sent[MAX_MSGS];
    memcpy(sent, t->msgs, sizeof sent);
    for (uint32_t i = 0; i < t->msgs_count; i++) {
        struct kt_msg *m = &t->msgs[i];
        *m = (struct kt_msg){.in = sent[i].out,
                             .in_nbytes = sent[i].out_nbytes,
                             .out = out_nbytes,
                             .key = sent[i].key,
                             .aad_nbytes = sent[i].aad_nbytes};
        out_nbytes += m->in_nbytes - 48 + rig_below(&t->seed, 3);
        any |= tampered[i] = rig_below(&t->seed, 8) == 0;
        uint32_t bit = rig_below(&t->seed, 8 * (m->aad_nbytes + m->in_nbytes));
        if (tampered[i])
            sealed.data[m->in - m->aad_nbytes + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    t->in = sealed;
    t->out = rig_arena(out_nbytes, rig_below(&t->seed, 2));
    memset(t->out.data, 0xa5, out_nbytes);
    struct kt_batch batch = batch_of(t);
    cr_assert_eq(kt_open(t->engine, &batch), any ? KT_E_ITEM : KT_OK);
    for (uint32_t i = 0; i < t->msgs_count; i++) {
        const struct kt_msg *m = &t->msgs[i];
        cr_assert_eq(m->status, tampered[i] ? KT_E_UNAUTHENTIC : KT_OK);
        if (!tampered[i]) {
            cr_assert_eq(m->out_nbytes, sent[i].in_nbytes);
            cr_assert(memcmp(t->out.data + m->out, plain.data + sent[i].in, m->out_nbytes) == 0);
            memset(t->out.data + m->out, 0xa5, m->in_nbytes - 48);
        }
    }
    for (uint32_t i = 0; i < out_nbytes; i++)
        cr_assert_eq(t->out.data[i], 0xa5, "byte %u, of a failed message or of none, was written", i);
    rig_arena_free(&t->out);
    t->in = plain;
    t->out = sealed;
}

static void run_trial(struct trial *t)
{
    lay_out(t);
    rig_fill(&t->seed, t->deks[0], 96 * t->keys_count);
    t->keys = rig_keys(t->engine, t->deks[0], t->keys_count);
    t->in = rig_arena(t->in_nbytes, rig_below(&t->seed, 2));
    t->out = rig_arena(t->out_nbytes, rig_below(&t->seed, 2));
    t->expected = malloc(t->out_nbytes);
    cr_assert_not_null(t->expected);
    rig_fill(&t->seed, t->in.data, t->in_nbytes);
    rig_fill(&t->seed, t->out.data, t->out_nbytes);
    seal_and_compare(t);
    open_and_compare(t);
    free(t->expected);
    rig_arena_free(&t->in);
    rig_arena_free(&t->out);
    rig_keys_free(&t->keys);
}

Test(random, agrees_with_openssl)
{
    const char *wanted = getenv("KEYTURN_RANDOM_MESSAGES");
    uint64_t total = wanted ? strtoull(wanted, NULL, 0) : 12000, seed = rig_seed();
    fprintf(stderr, "random: KEYTURN_SEED=%llu, %llu messages per backend\n", (unsigned long long)seed,
            (unsigned long long)total);
    struct trial *t = calloc(1, sizeof *t);
    cr_assert_not_null(t);
    for (size_t i = 0; (t->engine = rig_engine(i)) != NULL; i++) {
        t->seed = seed + i;
        for (uint64_t done = 0; done < total; done += t->msgs_count)
            run_trial(t);
        kt_engine_close(t->engine);
    }
    free(t);
}
