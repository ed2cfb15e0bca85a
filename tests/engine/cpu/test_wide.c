/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of messages that are alike, full and not: what the vector backends make a case of its own. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/engine/oracle.h"
#include "tests/engine/rig.h"

#define COUNT_MAX 70
#define KEYS 3
#define SLOT 1024

static uint8_t deks[KEYS][96], plain[COUNT_MAX * SLOT], sealed[COUNT_MAX * SLOT], expected[COUNT_MAX * SLOT],
    opened[COUNT_MAX * SLOT];
static struct kt_msg msgs[COUNT_MAX];

static struct kt_batch seal_batch(const struct rig_keys *k, uint32_t count, uint32_t keys, uint32_t nbytes,
                                  uint16_t aad_nbytes)
{
    uint64_t seed = rig_seed() + count + nbytes;
    rig_fill(&seed, plain, sizeof plain);
    rig_fill(&seed, sealed, sizeof sealed);
    memcpy(expected, sealed, sizeof sealed);
    for (uint32_t i = 0; i < count; i++)
        msgs[i] = (struct kt_msg){.in = SLOT * i,
                                  .in_nbytes = nbytes,
                                  .out = SLOT * i + 32,
                                  .key = i % keys,
                                  .aad_nbytes = aad_nbytes,
                                  .mode = i % 5 ? KT_MODE_IV_GIVEN : KT_MODE_DETERMINISTIC};
    return (struct kt_batch){
        plain, sizeof plain, sealed, sizeof sealed, (const struct kt_key *const *)k->keys, KEYS, msgs, count};
}

static struct kt_batch open_batch(struct kt_batch b)
{
    for (uint32_t i = 0; i < b.msgs_count; i++)
        msgs[i] = (struct kt_msg){.in = msgs[i].out,
                                  .in_nbytes = msgs[i].out_nbytes,
                                  .out = SLOT * i,
                                  .key = msgs[i].key,
                                  .aad_nbytes = msgs[i].aad_nbytes};
    memset(opened, 0xa5, sizeof opened);
    b.in = sealed;
    b.out = opened;
    return b;
}

/* Seals and opens; every byte of the arenas is judged. */
static void check(struct kt_engine *engine, const struct rig_keys *k, uint32_t count, uint32_t keys,
                  uint32_t nbytes, uint16_t aad_nbytes)
{
    struct kt_batch b = seal_batch(k, count, keys, nbytes, aad_nbytes);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = expected + msgs[i].out;
        oracle_seal(deks[msgs[i].key], msgs[i].mode == KT_MODE_DETERMINISTIC ? NULL : at, at - aad_nbytes,
                    aad_nbytes, plain + msgs[i].in, nbytes, at);
    }
    cr_assert_eq(kt_seal(engine, &b), KT_OK);
    cr_assert(memcmp(sealed, expected, sizeof sealed) == 0, "%s: %u messages of %u bytes, %u keys, AAD %u",
              kt_engine_backend(engine), count, nbytes, keys, aad_nbytes);
    b = open_batch(b);
    cr_assert_eq(kt_open(engine, &b), KT_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(msgs[i].out_nbytes == nbytes && memcmp(opened + msgs[i].out, plain + SLOT * i, nbytes) == 0,
                  "%s: message %u of %u, %u bytes", kt_engine_backend(engine), i, count, nbytes);
}

Test(wide, groups_that_are_not_full)
{
    static const uint32_t counts[] = {1,  2,  3,  4,  5,  15, 16, 17, 18, 19, 20, 31,
                                      32, 33, 34, 35, 36, 48, 49, 50, 65, 66, 67, 70};
    static const uint32_t lengths[] = {0, 32, 63, 64, 96, 430, 470, 520};
    uint64_t seed = rig_seed();
    rig_fill(&seed, deks[0], sizeof deks);
    EACH_ENGINE(engine)
    {
        struct rig_keys k = rig_keys(engine, deks[0], KEYS);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
                check(engine, &k, counts[i], i % 2 ? 1 : KEYS, lengths[j], j % 3 ? 18 : 0);
        rig_keys_free(&k);
    }
}

Test(wide, forged_member_fails_alone)
{
    static const uint32_t members[] = {0, 3, 15, 16, 31, 32, 34}, lengths[] = {40, 600};
    uint64_t seed = rig_seed();
    rig_fill(&seed, deks[0], sizeof deks);
    EACH_ENGINE(engine)
    {
        struct rig_keys k = rig_keys(engine, deks[0], KEYS);
        for (size_t c = 0; c < 2 * sizeof members / sizeof members[0]; c++) {
            const uint32_t forged = members[c / 2], nbytes = lengths[c % 2], count = 35;
            struct kt_batch b = seal_batch(&k, count, 1, nbytes, 18);
            cr_assert_eq(kt_seal(engine, &b), KT_OK);
            b = open_batch(b);
            sealed[msgs[forged].in + msgs[forged].in_nbytes - 1] ^= 0x80;
            cr_assert_eq(kt_open(engine, &b), KT_E_ITEM);
            for (uint32_t i = 0; i < count; i++) {
                if (i != forged)
                    cr_assert(msgs[i].status == KT_OK && msgs[i].out_nbytes == nbytes &&
                              memcmp(opened + msgs[i].out, plain + SLOT * i, nbytes) == 0);
                else
                    cr_assert(msgs[i].status == KT_E_UNAUTHENTIC && msgs[i].out_nbytes == 0);
            }
            for (uint32_t i = 0; i < SLOT; i++)
                cr_assert_eq(opened[SLOT * forged + i], 0xa5, "output of a forged message was written");
        }
        rig_keys_free(&k);
    }
}

/* Authentic, too long for a row, and ending in what no sealer writes: nothing of it may be written, which
 * rig_open_one sees to. */
Test(wide, wrong_padding_of_long_messages)
{
    static const struct {
        uint8_t last, before;
        bool legal;
    } ends[] = {{0, 0, false}, {17, 17, false}, {255, 255, false},
                {2, 3, false}, {1, 9, true},    {16, 16, true}};
    uint64_t seed = rig_seed();
    rig_fill(&seed, deks[0], sizeof deks);
    EACH_ENGINE(engine)
    {
        for (size_t nbytes = 512; nbytes <= 1536; nbytes += 256)
            for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
                static uint8_t blocks[1536], message[1600], out[1600];
                size_t n;
                memset(blocks, ends[i].before, nbytes);
                blocks[nbytes - 1] = ends[i].last;
                memset(message, 7, 16);
                oracle_cbc(deks[0] + 32, message, blocks, nbytes, message + 16);
                oracle_tag(deks[0], NULL, 0, message, 16 + nbytes, message + 16 + nbytes);
                cr_assert_eq(rig_open_one(engine, deks[0], NULL, 0, message, 48 + nbytes, out, &n),
                             ends[i].legal ? KT_OK : KT_E_UNAUTHENTIC, "%s: %zu bytes, end %zu",
                             kt_engine_backend(engine), nbytes, i);
                cr_assert(!ends[i].legal || n == nbytes - ends[i].last);
            }
    }
}
