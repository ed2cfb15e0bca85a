/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cpu/sha512.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/oracle.h"
#include "tests/engine/rig.h"
#include "tests/support/shared.h"

/* HMAC for keys of any length, from the pieces under test; keys of 32 bytes go through kt_hmac_midstates. */
static void hmac(const uint8_t *key, size_t key_nbytes, const uint8_t *data, size_t nbytes, size_t cut,
                 uint8_t digest[64])
{
    uint8_t block[128] = {0};
    uint64_t state[2][8];
    cr_assert_leq(key_nbytes, sizeof block);
    if (key_nbytes)
        memcpy(block, key, key_nbytes);
    for (int i = 0; i < 2; i++) {
        uint8_t padded[128];
        for (int j = 0; j < 128; j++)
            padded[j] = block[j] ^ (i ? 0x5c : 0x36);
        memcpy(state[i], kt_sha512_initial, sizeof state[i]);
        kt_sha512_compress(state[i], padded, 1);
    }
    if (key_nbytes == 32)
        kt_hmac_midstates(key, state[0], state[1]);
    struct kt_sha512 h;
    kt_sha512_resume(&h, state[0]);
    kt_sha512_add(&h, data, cut);
    kt_sha512_add(&h, data + cut, nbytes - cut);
    kt_sha512_finish(&h, digest);
    kt_sha512_resume(&h, state[1]);
    kt_sha512_add(&h, digest, 64);
    kt_sha512_finish(&h, digest);
}

Test(sha512, compress_agrees_with_openssl)
{
    uint8_t data[384], padded[512] = {0}, expected[64];
    uint64_t seed = rig_seed(), state[8];
    for (int round = 0; round < 200; round++) {
        rig_fill(&seed, data, sizeof data);
        size_t n = 384, got = 64;
        memcpy(padded, data, n);
        padded[n] = 0x80;
        padded[510] = (uint8_t)(n * 8 >> 8);
        padded[511] = (uint8_t)(n * 8);
        memcpy(state, kt_sha512_initial, sizeof state);
        kt_sha512_compress(state, padded, 4);
        cr_assert(EVP_Q_digest(NULL, "SHA512", NULL, data, n, expected, &got));
        for (int i = 0; i < 8; i++)
            state[i] = __builtin_bswap64(state[i]);
        cr_assert_arr_eq((uint8_t *)state, expected, 64);
    }
}

Test(sha512, hmac_every_length_and_cut)
{
    uint8_t key[32], data[300], expected[64], digest[64];
    uint64_t seed = rig_seed();
    rig_fill(&seed, key, sizeof key);
    rig_fill(&seed, data, sizeof data);
    for (size_t n = 0; n <= sizeof data; n++) {
        oracle_hmac(key, 32, data, n, expected);
        for (size_t cut = 0; cut <= n; cut += cut < 140 ? 1 : 37) {
            hmac(key, 32, data, n, cut, digest);
            cr_assert_arr_eq(digest, expected, 64, "%zu bytes cut at %zu", n, cut);
        }
    }
}

static void check_wycheproof_group(const bson_t *group, int counts[2])
{
    bson_iter_t it, tests, field;
    cr_assert(bson_iter_init_find(&it, group, "tests") && bson_iter_recurse(&it, &tests));
    while (bson_iter_next(&tests)) {
        static uint8_t key[512], msg[4096], tag[64], digest[64];
        size_t key_nbytes = 0, nbytes = 0, tag_nbytes = 0;
        bool valid = false;
        for (bson_iter_recurse(&tests, &field); bson_iter_next(&field);) {
            const char *name = bson_iter_key(&field);
            if (strcmp(name, "key") == 0)
                key_nbytes = kt_unhex(bson_iter_utf8(&field, NULL), key, sizeof key);
            else if (strcmp(name, "msg") == 0)
                nbytes = kt_unhex(bson_iter_utf8(&field, NULL), msg, sizeof msg);
            else if (strcmp(name, "tag") == 0)
                tag_nbytes = kt_unhex(bson_iter_utf8(&field, NULL), tag, sizeof tag);
            else if (strcmp(name, "result") == 0)
                valid = strcmp(bson_iter_utf8(&field, NULL), "valid") == 0;
        }
        hmac(key, key_nbytes, msg, nbytes, nbytes / 2, digest);
        cr_assert_eq(memcmp(digest, tag, tag_nbytes) == 0, valid);
        counts[valid]++;
    }
}

Test(sha512, wycheproof_hmac)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data (KEYTURN_SHARED)");
    bson_t *doc = kt_shared_json("vectors/wycheproof/hmac_sha512_test.json"), group;
    cr_assert_not_null(doc);
    bson_iter_t it, groups;
    int counts[2] = {0};
    cr_assert(bson_iter_init_find(&it, doc, "testGroups") && bson_iter_recurse(&it, &groups));
    while (bson_iter_next(&groups)) {
        const uint8_t *data;
        uint32_t n;
        bson_iter_document(&groups, &n, &data);
        cr_assert(bson_init_static(&group, data, n));
        check_wycheproof_group(&group, counts);
    }
    cr_assert_eq(counts[1], 66);
    cr_assert_eq(counts[0], 108);
    bson_destroy(doc);
}

/* Entries "HMAC = SHA512", "Input = "text"", "Key = hex", "Output = hex" in nist/hmac_tests.txt. Keys over
 * the block size are given hashed by HMAC's definition. */
Test(sha512, nist_hmac)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data (KEYTURN_SHARED)");
    size_t n;
    char *text = (char *)kt_read_file(kt_shared_path("vectors/nist/hmac_tests.txt"), &n);
    cr_assert_not_null(text);
    int cases = 0;
    for (char *at = text; (at = strstr(at, "HMAC = SHA512\n")) != NULL; cases++) {
        at += strlen("HMAC = SHA512\n");
        char input[256], key_hex[1024], output_hex[256];
        cr_assert_eq(
            sscanf(at, "Input = \"%255[^\"]\"\nKey = %1023s\nOutput = %255s", input, key_hex, output_hex), 3);
        uint8_t key[512], expected[64], digest[64];
        size_t key_nbytes = kt_unhex(key_hex, key, sizeof key), hashed = 64;
        cr_assert_eq(kt_unhex(output_hex, expected, 64), 64);
        if (key_nbytes > 128) {
            cr_assert(EVP_Q_digest(NULL, "SHA512", NULL, key, key_nbytes, key, &hashed));
            key_nbytes = 64;
        }
        hmac(key, key_nbytes, (const uint8_t *)input, strlen(input), 1, digest);
        cr_assert_arr_eq(digest, expected, 64);
    }
    cr_assert_eq(cases, 3);
    free(text);
}
