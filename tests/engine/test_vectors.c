/* SPDX-License-Identifier: Apache-2.0 */
/* Published vectors through every backend that this machine has. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine/oracle.h"
#include "tests/engine/rig.h"
#include "tests/support/shared.h"

#define NEED_SHARED()                                                                                        \
    if (!kt_shared_present())                                                                                \
    cr_skip_test("no shared test data (KEYTURN_SHARED)")

static const char *text_of(const bson_t *doc, const char *name)
{
    bson_iter_t it;
    cr_assert(bson_iter_init_find(&it, doc, name) && BSON_ITER_HOLDS_UTF8(&it), "no %s", name);
    return bson_iter_utf8(&it, NULL);
}

static size_t hex_of(const bson_t *doc, const char *name, uint8_t *out, size_t capacity)
{
    size_t n = kt_unhex(text_of(doc, name), out, capacity);
    cr_assert_neq(n, SIZE_MAX, "%s", name);
    return n;
}

/* Calls visit for each test of each group of a Wycheproof file. */
static void each_wycheproof(const char *file,
                            void (*visit)(const bson_t *group, const bson_t *test, void *context),
                            void *context)
{
    bson_t *doc = kt_shared_json(file);
    cr_assert_not_null(doc);
    bson_iter_t groups, group, tests, test;
    cr_assert(bson_iter_init_find(&groups, doc, "testGroups") && bson_iter_recurse(&groups, &group));
    while (bson_iter_next(&group)) {
        bson_t g, t;
        const uint8_t *data;
        uint32_t n;
        bson_iter_document(&group, &n, &data);
        cr_assert(bson_init_static(&g, data, n));
        cr_assert(bson_iter_init_find(&tests, &g, "tests") && bson_iter_recurse(&tests, &test));
        while (bson_iter_next(&test)) {
            bson_iter_document(&test, &n, &data);
            cr_assert(bson_init_static(&t, data, n));
            visit(&g, &t, context);
        }
    }
    bson_destroy(doc);
}

struct counts {
    struct kt_engine *engine;
    int valid, invalid;
};

/* Runs check with each backend in turn. */
static void each_backend(void (*check)(struct kt_engine *))
{
    struct kt_engine *engine;
    for (size_t i = 0; (engine = rig_engine(i)) != NULL; i++) {
        check(engine);
        kt_engine_close(engine);
    }
}

static void check_mcgrew(struct kt_engine *engine)
{
    bson_t *doc = kt_shared_json("vectors/aead/mcgrew.json");
    cr_assert_not_null(doc);
    bson_iter_t it;
    cr_assert(bson_iter_init(&it, doc) && bson_iter_next(&it));
    bson_t test;
    const uint8_t *data;
    uint32_t n;
    bson_iter_document(&it, &n, &data);
    cr_assert(bson_init_static(&test, data, n));
    uint8_t dek[96], iv[16], aad[255], plain[512], expected[1024], sealed[1024], opened[1024];
    hex_of(&test, "key", dek, sizeof dek);
    hex_of(&test, "iv", iv, sizeof iv);
    size_t aad_nbytes = hex_of(&test, "aad", aad, sizeof aad), opened_nbytes;
    size_t nbytes = hex_of(&test, "plaintext", plain, sizeof plain);
    size_t sealed_nbytes = hex_of(&test, "ciphertext", expected, sizeof expected);
    cr_assert_eq(rig_seal_one(engine, dek, KT_MODE_IV_GIVEN, iv, aad, aad_nbytes, plain, nbytes, sealed),
                 KT_OK);
    cr_assert_eq(sealed_nbytes, KT_SEALED_NBYTES(nbytes));
    cr_assert_arr_eq(sealed, expected, sealed_nbytes);
    cr_assert_eq(rig_open_one(engine, dek, aad, aad_nbytes, sealed, sealed_nbytes, opened, &opened_nbytes),
                 KT_OK);
    cr_assert_eq(opened_nbytes, nbytes);
    cr_assert_arr_eq(opened, plain, nbytes);
    bson_destroy(doc);
}

Test(vectors, mcgrew)
{
    NEED_SHARED();
    each_backend(check_mcgrew);
}

static void check_aead(const bson_t *group, const bson_t *test, void *context)
{
    (void)group;
    struct counts *c = context;
    static uint8_t dek[96], iv[16], aad[1024], plain[1024], sealed[2048], made[2048], opened[2048];
    cr_assert_eq(hex_of(test, "key", dek, 64), 64);
    hex_of(test, "iv", iv, sizeof iv);
    size_t aad_nbytes = hex_of(test, "aad", aad, sizeof aad);
    size_t nbytes = hex_of(test, "msg", plain, sizeof plain), opened_nbytes;
    memcpy(sealed, iv, 16);
    size_t at = 16 + hex_of(test, "ct", sealed + 16, 1024);
    at += hex_of(test, "tag", sealed + at, 32);
    bool valid = strcmp(text_of(test, "result"), "valid") == 0;
    *(valid ? &c->valid : &c->invalid) += 1;
    enum kt_status status = rig_open_one(c->engine, dek, aad, aad_nbytes, sealed, at, opened, &opened_nbytes);
    cr_assert_eq(status, valid ? KT_OK : KT_E_UNAUTHENTIC);
    if (!valid)
        return;
    cr_assert_eq(opened_nbytes, nbytes);
    cr_assert_arr_eq(opened, plain, nbytes);
    cr_assert_eq(rig_seal_one(c->engine, dek, KT_MODE_IV_GIVEN, iv, aad, aad_nbytes, plain, nbytes, made),
                 KT_OK);
    cr_assert_arr_eq(made, sealed, at);
}

static void check_wycheproof_aead(struct kt_engine *engine)
{
    struct counts c = {.engine = engine};
    each_wycheproof("vectors/wycheproof/a256cbc_hs512_test.json", check_aead, &c);
    cr_assert_eq(c.valid, 67);
    cr_assert_eq(c.invalid, 27);
}

Test(vectors, wycheproof_aead)
{
    NEED_SHARED();
    each_backend(check_wycheproof_aead);
}

/* The file knows no tag: it is made here, so that what is judged is CBC and the padding. */
static void check_cbc(const bson_t *group, const bson_t *test, void *context)
{
    struct counts *c = context;
    bson_iter_t it;
    cr_assert(bson_iter_init_find(&it, group, "keySize"));
    if (bson_iter_as_int64(&it) != 256)
        return;
    static uint8_t dek[96], plain[1024], sealed[2048], opened[2048];
    hex_of(test, "key", dek + 32, 32);
    hex_of(test, "iv", sealed, 16);
    size_t nbytes = hex_of(test, "msg", plain, sizeof plain), opened_nbytes;
    size_t ct_nbytes = hex_of(test, "ct", sealed + 16, 1024);
    oracle_tag(dek, NULL, 0, sealed, 16 + ct_nbytes, sealed + 16 + ct_nbytes);
    enum kt_status status =
        rig_open_one(c->engine, dek, NULL, 0, sealed, 48 + ct_nbytes, opened, &opened_nbytes);
    if (strcmp(text_of(test, "result"), "valid") == 0) {
        c->valid++;
        cr_assert_eq(status, KT_OK);
        cr_assert_eq(opened_nbytes, nbytes);
        cr_assert_arr_eq(opened, plain, nbytes);
    } else {
        c->invalid++;
        cr_assert_eq(status, ct_nbytes ? KT_E_UNAUTHENTIC : KT_E_VALUE);
    }
}

static void check_wycheproof_cbc(struct kt_engine *engine)
{
    struct counts c = {.engine = engine};
    each_wycheproof("vectors/wycheproof/aes_cbc_pkcs5_test.json", check_cbc, &c);
    cr_assert_eq(c.valid, 24);
    cr_assert_eq(c.invalid, 48);
}

Test(vectors, wycheproof_cbc)
{
    NEED_SHARED();
    each_backend(check_wycheproof_cbc);
}

/* A line "name: hex" of a NIST file. Returns false when the line is another. */
static bool nist_line(const char *line, const char *name, uint8_t *out, size_t capacity, size_t *nbytes)
{
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0 || line[n] != ':')
        return false;
    char hex[2048];
    sscanf(line + n + 1, "%2047s", hex);
    *nbytes = kt_unhex(hex, out, capacity);
    cr_assert_neq(*nbytes, SIZE_MAX);
    return true;
}

/* To encrypt: the padding block comes behind the one that is judged. To decrypt: a ciphertext of two blocks,
 * of which the second is made so that it decrypts to padding. */
static void check_nist_case(struct kt_engine *engine, bool encrypt, const uint8_t key[32],
                            const uint8_t iv[16], const uint8_t plain[16], const uint8_t cipher[16])
{
    uint8_t dek[96] = {0}, sealed[96], padding[16], opened[48];
    size_t opened_nbytes;
    memcpy(dek + 32, key, 32);
    if (encrypt) {
        cr_assert_eq(rig_seal_one(engine, dek, KT_MODE_IV_GIVEN, iv, NULL, 0, plain, 16, sealed), KT_OK);
        cr_assert_arr_eq(sealed + 16, cipher, 16);
        return;
    }
    memset(padding, 16, 16);
    memcpy(sealed, iv, 16);
    memcpy(sealed + 16, cipher, 16);
    oracle_cbc(key, cipher, padding, 16, sealed + 32);
    oracle_tag(dek, NULL, 0, sealed, 48, sealed + 48);
    cr_assert_eq(rig_open_one(engine, dek, NULL, 0, sealed, 80, opened, &opened_nbytes), KT_OK);
    cr_assert_eq(opened_nbytes, 16);
    cr_assert_arr_eq(opened, plain, 16);
}

static void check_nist_aes(struct kt_engine *engine)
{
    size_t file_nbytes, n;
    char *text = (char *)kt_read_file(kt_shared_path("vectors/nist/aes_256_cbc.txt"), &file_nbytes);
    cr_assert_not_null(text);
    uint8_t key[32], iv[16], plain[16], cipher[16];
    unsigned have = 0;
    bool encrypt = true;
    int cases[2] = {0};
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strncmp(line, "Operation: ", 11) == 0) {
            encrypt = strncmp(line + 11, "ENCRYPT", 7) == 0;
            have = 0;
        }
        have |= nist_line(line, "Key", key, 32, &n) ? 1 : 0;
        have |= nist_line(line, "IV", iv, 16, &n) ? 2 : 0;
        have |= nist_line(line, "Plaintext", plain, 16, &n) ? 4 : 0;
        have |= nist_line(line, "Ciphertext", cipher, 16, &n) ? 8 : 0;
        if (have == 15) {
            check_nist_case(engine, encrypt, key, iv, plain, cipher);
            cases[encrypt]++;
            have = 0;
        }
    }
    free(text);
    cr_assert_eq(cases[0], 405);
    cr_assert_eq(cases[1], 405);
}

Test(vectors, nist_aes_256_cbc)
{
    NEED_SHARED();
    each_backend(check_nist_aes);
}

static void check_local_key(struct kt_engine *engine)
{
    bson_t *doc =
        kt_shared_json("vectors/libmongocrypt-keys/12345678123498761234123456789012-local-document.json");
    size_t n, opened_nbytes;
    char *hex = (char *)kt_read_file(
        kt_shared_path("vectors/libmongocrypt-keys/12345678123498761234123456789012-key-material.txt"), &n);
    cr_assert(doc && hex);
    hex[strcspn(hex, "\r\n")] = 0;
    uint8_t material[96], opened[112], zeros[96] = {0};
    cr_assert_eq(kt_unhex(hex, material, sizeof material), 96);
    bson_iter_t it;
    const uint8_t *wrapped;
    uint32_t wrapped_nbytes;
    bson_subtype_t subtype;
    cr_assert(bson_iter_init_find(&it, doc, "keyMaterial") && BSON_ITER_HOLDS_BINARY(&it));
    bson_iter_binary(&it, &subtype, &wrapped_nbytes, &wrapped);
    cr_assert_eq(wrapped_nbytes, KT_WRAPPED_NBYTES);
    cr_assert_eq(rig_open_one(engine, zeros, NULL, 0, wrapped, wrapped_nbytes, opened, &opened_nbytes),
                 KT_OK);
    cr_assert_eq(opened_nbytes, 96);
    cr_assert_arr_eq(opened, material, 96);
    uint8_t again[KT_WRAPPED_NBYTES];
    cr_assert_eq(rig_seal_one(engine, zeros, KT_MODE_IV_GIVEN, wrapped, NULL, 0, material, 96, again), KT_OK);
    cr_assert_arr_eq(again, wrapped, wrapped_nbytes);
    bson_destroy(doc);
    free(hex);
}

Test(vectors, local_key_document)
{
    NEED_SHARED();
    each_backend(check_local_key);
}
