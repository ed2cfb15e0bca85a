/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/key_table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "csfle/walk.h"
#include "tests/keys/fixture.h"

static struct fixture f;
static struct kt_key_table *table;

static void open_fixture(void)
{
    static const char *const ids[] = {"local", "local:b", NULL};
    fixture_open(&f, ids);
    table = fixture_table(&f, NULL);
}

static void close_fixture(void)
{
    kt_key_table_free(table);
    fixture_close(&f);
}

TestSuite(key_table, .init = open_fixture, .fini = close_fixture);

static void settle(const uint32_t *handles, size_t count)
{
    struct kt_error err = {0};
    bool settled = false;
    cr_assert_eq(kt_key_table_settle(table, f.engine, handles, count, NULL, &settled, &err), KT_OK, "%s",
                 err.message);
    cr_assert(settled);
}

static const char *why(uint32_t handle, enum kt_status expected)
{
    const char *text = NULL;
    settle(&handle, 1);
    cr_assert_eq(kt_key_table_state(table, handle), KT_KEY_FAILED);
    cr_expect_eq(kt_key_table_failure(table, handle, &text), expected);
    cr_expect_eq(kt_key_table_key(table, handle), KT_NO_KEY);
    cr_assert_not_null(text);
    cr_expect_neq(text[strlen(text) - 1], '.');
    return text;
}

#define SAYS(text, part) cr_expect_not_null(strstr(text, part), "\"%s\" lacks \"%s\"", text, part)

Test(key_table, a_key_has_one_handle)
{
    uint32_t a = fixture_handle(table, 1), b = fixture_handle(table, 2), n = fixture_name(table, "n");
    cr_expect_neq(a, b);
    cr_expect_neq(b, n);
    cr_expect_eq(fixture_handle(table, 1), a);
    cr_expect_eq(fixture_name(table, "n"), n);
    cr_expect_eq(kt_key_table_state(table, a), KT_KEY_NEW);
    cr_expect_eq(kt_key_table_state(table, n), KT_KEY_NEW);
    cr_expect_eq(f.finds, 0);
}

Test(key_table, many_keys_settle_with_one_look_up_and_open_to_their_deks)
{
    enum { N = 500 };
    uint32_t handles[N];
    const struct kt_key *keys[N];
    struct kt_dek_cache *cache;
    for (uint32_t i = 0; i < N; i++) {
        fixture_add(&f, i, i % 3 ? "local" : "local:b", NULL);
        handles[i] = fixture_handle(table, i);
    }
    settle(handles, N);
    cr_expect_eq(f.finds, 1);
    cr_assert_eq(kt_dek_cache_new(&cache, table, f.engine, N), KT_OK);
    cr_assert_eq(kt_dek_cache_get(cache, handles, N, keys), KT_OK);
    for (uint32_t i = 0; i < N; i++) {
        uint8_t id[16];
        const char *text;
        fixture_id(i, id);
        cr_assert_eq(kt_key_table_state(table, handles[i]), KT_KEY_READY);
        cr_assert_eq(kt_key_table_key(table, handles[i]), handles[i]);
        cr_assert_arr_eq(kt_key_table_id(table, handles[i]), id, 16);
        cr_assert_eq(kt_key_table_failure(table, handles[i], &text), KT_OK);
        cr_assert_null(text);
        cr_assert(fixture_is_key(&f, keys[i], i));
    }
    settle(handles, N);
    cr_expect_eq(f.finds, 1, "what is settled is not asked for again");
    kt_dek_cache_free(cache);
}

Test(key_table, settling_nothing_asks_nobody)
{
    settle(NULL, 0);
    cr_expect_eq(f.finds, 0);
}

Test(key_table, a_handle_may_stand_there_twice)
{
    fixture_add(&f, 1, "local", NULL);
    uint32_t twice[] = {fixture_handle(table, 1), fixture_handle(table, 1)};
    settle(twice, 2);
    cr_expect_eq(kt_key_table_state(table, twice[0]), KT_KEY_READY);
}

Test(key_table, names_lead_to_their_key)
{
    fixture_add(&f, 1, "local", (const char *const[]){"alpha", "beta", NULL});
    fixture_add(&f, 2, "local", (const char *const[]){"gamma", NULL});
    uint32_t handles[] = {fixture_name(table, "beta"), fixture_name(table, "gamma"),
                          fixture_name(table, "alpha"), fixture_handle(table, 2)};
    settle(handles, 4);
    cr_expect_eq(f.finds, 1);
    cr_expect_eq(kt_key_table_key(table, handles[0]), fixture_handle(table, 1));
    cr_expect_eq(kt_key_table_key(table, handles[2]), fixture_handle(table, 1));
    cr_expect_eq(kt_key_table_key(table, handles[1]), handles[3]);
    for (int i = 0; i < 4; i++) {
        uint8_t id[16];
        fixture_id(i % 2 ? 2 : 1, id);
        cr_expect_eq(kt_key_table_state(table, handles[i]), KT_KEY_READY);
        cr_expect_arr_eq(kt_key_table_id(table, handles[i]), id, 16);
    }
}

Test(key_table, a_name_asked_for_later_finds_the_key_that_is_there)
{
    fixture_add(&f, 1, "local", (const char *const[]){"alpha", NULL});
    uint32_t by_id = fixture_handle(table, 1);
    settle(&by_id, 1);
    uint32_t by_name = fixture_name(table, "alpha");
    settle(&by_name, 1);
    cr_expect_eq(kt_key_table_key(table, by_name), by_id);
}

Test(key_table, a_missing_key_fails_alone_and_is_named)
{
    fixture_add(&f, 1, "local", NULL);
    uint32_t handles[] = {fixture_handle(table, 1), fixture_handle(table, 0x33221100)};
    settle(handles, 2);
    cr_expect_eq(kt_key_table_state(table, handles[0]), KT_KEY_READY);
    SAYS(why(handles[1], KT_E_NO_KEY), "the key vault has no key 00112233-eeee-eeee-eeee-eeeeeeeeeeee");
    uint8_t id[16];
    fixture_id(0x33221100, id);
    cr_expect_arr_eq(kt_key_table_id(table, handles[1]), id, 16);
}

Test(key_table, a_missing_name_is_named)
{
    uint32_t handle = fixture_name(table, "pii\n2026");
    SAYS(why(handle, KT_E_NO_KEY), "the key vault has no key \"pii?2026\"");
    cr_expect_null(kt_key_table_id(table, handle));
}

Test(key_table, an_empty_name_is_a_name)
{
    uint32_t handle = fixture_name(table, "");
    SAYS(why(handle, KT_E_NO_KEY), "no key \"\"");
}

Test(key_table, a_provider_that_is_not_configured_is_named)
{
    uint8_t id[16], wrapped[KT_WRAPPED_NBYTES] = {0};
    fixture_id(7, id);
    fixture_add_raw(&f, id, "local:gone", kt_span_of(wrapped, sizeof wrapped),
                    (const char *const[]){"pii", NULL});
    const char *text = why(fixture_handle(table, 7), KT_E_NO_PROVIDER);
    SAYS(text, "kms.json lacks provider \"local:gone\"");
    SAYS(text, "key 07000000-eeee-eeee-eeee-eeeeeeeeeeee (\"pii\")");
    SAYS(why(fixture_name(table, "pii"), KT_E_NO_PROVIDER), "kms.json lacks provider \"local:gone\"");
}

Test(key_table, a_provider_without_a_strategy_is_named)
{
    bson_t *doc =
        BCON_NEW("aws", "{", "accessKeyId", BCON_UTF8("a"), "secretAccessKey", BCON_UTF8("s3cret"), "}");
    uint8_t id[16], wrapped[200] = {0};
    kt_key_table_free(table);
    kt_providers_free(f.providers);
    cr_assert_eq(kt_providers_new(&f.providers, kt_span_of(bson_get_data(doc), doc->len), (struct kt_span){0},
                                  "kms.json", f.secmem, f.engine, NULL),
                 KT_OK);
    table = fixture_table(&f, NULL);
    fixture_id(1, id);
    fixture_add_raw(&f, id, "aws", kt_span_of(wrapped, sizeof wrapped), NULL);
    const char *text = why(fixture_handle(table, 1), KT_E_NO_PROVIDER);
    SAYS(text, "needs provider \"aws\"");
    SAYS(text, "cannot");
    bson_destroy(doc);
}

Test(key_table, a_changed_wrap_fails_alone_and_says_what_to_do)
{
    uint8_t id[16], wrapped[KT_WRAPPED_NBYTES], dek[KT_DEK_NBYTES] = {1};
    fixture_id(1, id);
    fixture_wrap(&f, "local", kt_span_of(dek, sizeof dek), wrapped);
    wrapped[20] ^= 1;
    fixture_add_raw(&f, id, "local", kt_span_of(wrapped, sizeof wrapped), (const char *const[]){"pii", NULL});
    fixture_add(&f, 2, "local", NULL);
    uint32_t handles[] = {fixture_handle(table, 1), fixture_handle(table, 2)};
    settle(handles, 2);
    cr_expect_eq(kt_key_table_state(table, handles[1]), KT_KEY_READY);
    const char *text = why(handles[0], KT_E_UNAUTHENTIC);
    SAYS(text, "key 01000000-eeee-eeee-eeee-eeeeeeeeeeee (\"pii\") does not open under provider \"local\"");
    SAYS(text, "kms.json");
}

Test(key_table, a_key_of_another_length_is_none)
{
    uint8_t id[16], wrapped[KT_WRAPPED_NBYTES], plaintext[97] = {1};
    fixture_id(1, id);
    fixture_wrap(&f, "local", kt_span_of(plaintext, sizeof plaintext), wrapped);
    fixture_add_raw(&f, id, "local", kt_span_of(wrapped, sizeof wrapped), NULL);
    SAYS(why(fixture_handle(table, 1), KT_E_KEY), "not 96 bytes");
}

Test(key_table, a_name_that_two_keys_have_is_ambiguous)
{
    fixture_add(&f, 1, "local", (const char *const[]){"twin", NULL});
    fixture_add(&f, 2, "local", (const char *const[]){"twin", "own", NULL});
    uint32_t handles[] = {fixture_name(table, "twin"), fixture_name(table, "own"), fixture_handle(table, 1)};
    settle(handles, 3);
    const char *text = why(handles[0], KT_E_KEY);
    SAYS(text, "key \"twin\" is ambiguous");
    SAYS(text, "keyAltName");
    cr_expect_eq(kt_key_table_state(table, handles[1]), KT_KEY_READY);
    cr_expect_eq(kt_key_table_state(table, handles[2]), KT_KEY_READY);
    cr_expect_null(kt_key_table_id(table, handles[0]));
}

Test(key_table, an_id_that_two_documents_have_is_ambiguous)
{
    fixture_add(&f, 1, "local", NULL);
    fixture_add(&f, 1, "local", NULL); /* another IV, so another document */
    SAYS(why(fixture_handle(table, 1), KT_E_KEY), "two different documents with this _id");
}

Test(key_table, the_same_document_twice_is_one_key)
{
    fixture_add(&f, 1, "local", (const char *const[]){"a", NULL});
    struct kt_key_doc key;
    cr_assert_eq(kt_key_doc_parse(kt_span_of(f.docs[0].data, f.docs[0].nbytes), &key, NULL), KT_OK);
    fixture_add_raw(&f, key.id, "local", key.key_material, (const char *const[]){"a", NULL});
    uint32_t handles[] = {fixture_handle(table, 1), fixture_name(table, "a")};
    settle(handles, 2);
    cr_expect_eq(kt_key_table_state(table, handles[0]), KT_KEY_READY);
    cr_expect_eq(kt_key_table_state(table, handles[1]), KT_KEY_READY);
}

Test(key_table, a_source_that_fails_is_asked_again_later)
{
    for (uint32_t i = 0; i < 100; i++)
        fixture_add(&f, i, "local", (const char *const[]){"a", NULL});
    uint32_t handles[] = {fixture_handle(table, 0), fixture_name(table, "b"), fixture_handle(table, 99)};
    struct kt_error err = {0};
    bool settled = true;
    f.broken = KT_E_NET;
    cr_assert_eq(kt_key_table_settle(table, f.engine, handles, 3, NULL, &settled, &err), KT_E_NET);
    cr_expect_not(settled);
    cr_expect_str_eq(err.message, "the vault is gone");
    for (int i = 0; i < 3; i++)
        cr_expect_eq(kt_key_table_state(table, handles[i]), KT_KEY_NEW);
    f.broken = KT_OK;
    settle(handles, 3);
    cr_expect_eq(kt_key_table_state(table, handles[0]), KT_KEY_READY);
    cr_expect_eq(kt_key_table_state(table, handles[1]), KT_KEY_FAILED);
    cr_expect_eq(kt_key_table_state(table, handles[2]), KT_KEY_READY);
}

Test(key_table, a_key_document_of_megabytes_is_refused)
{
    bson_t *doc = BCON_NEW("gcp", "{", "accessToken", BCON_UTF8("t"), "}", "local", "{", "key",
                           BCON_BIN(BSON_SUBTYPE_BINARY, (uint8_t[96]){0}, 96), "}", "aws", "{", "}");
    uint8_t id[16], *large = calloc(1, 1 << 20);
    kt_key_table_free(table);
    kt_providers_free(f.providers);
    cr_assert_eq(kt_providers_new(&f.providers, kt_span_of(bson_get_data(doc), doc->len), (struct kt_span){0},
                                  "kms.json", f.secmem, f.engine, NULL),
                 KT_OK);
    struct kt_strategies any = {NULL, NULL};
    table = fixture_table(&f, &any);
    fixture_id(1, id);
    fixture_add_raw(&f, id, "aws", kt_span_of(large, 1 << 20), NULL);
    const char *text = NULL;
    uint32_t handle = fixture_handle(table, 1);
    settle(&handle, 1);
    cr_expect_neq(kt_key_table_failure(table, handle, &text), KT_OK);
    cr_expect_lt(strlen(text), 500);
    free(large);
    bson_destroy(doc);
}

Test(key_table, locked_memory_does_not_grow_with_the_keys)
{
    enum { N = 3000 };
    uint32_t *handles = calloc(N, sizeof *handles);
    for (uint32_t i = 0; i < N; i++) {
        fixture_add(&f, i, "local", NULL);
        handles[i] = fixture_handle(table, i);
    }
    size_t before = kt_secmem_available(f.secmem);
    settle(handles, 64);
    settle(handles + 64, 200);
    cr_expect_eq(kt_secmem_available(f.secmem), before);
    free(handles);
}

#if !defined(__SANITIZE_ADDRESS__) /* which keeps copies of freed memory, shadows and fake stacks */
Test(key_table, no_dek_is_left_outside_locked_memory)
{
    enum { N = 200 };
    uint32_t handles[N];
    const struct kt_key *keys[N];
    struct kt_dek_cache *cache;
    for (uint32_t i = 0; i < N; i++) {
        fixture_add(&f, i, "local", NULL);
        handles[i] = fixture_handle(table, i);
    }
    settle(handles, N);
    cr_assert_eq(kt_dek_cache_new(&cache, table, f.engine, 100), KT_OK);
    for (uint32_t i = 0; i < N; i += 100)
        cr_assert_eq(kt_dek_cache_get(cache, handles + i, 100, keys + i), KT_OK);
    uint8_t *dek = kt_secmem_alloc(f.secmem, KT_DEK_NBYTES), copy[16];
    fixture_dek(150, dek);
    for (size_t i = 0; i < KT_DEK_NBYTES; i += 16)
        cr_expect_eq(fixture_count_in_memory(&f, dek + i, 16), 0, "bytes from %zu", i);
    memcpy(copy, dek + 32, sizeof copy);
    cr_expect_geq(fixture_count_in_memory(&f, dek + 32, 16), 1, "the search finds what is there");
    kt_wipe(copy, sizeof copy);
    kt_dek_cache_free(cache);
}
#endif
