/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "keys/strategy.h"
#include "tests/keys/fixture.h"
#include "tests/support/shared.h"

static struct fixture f;

/* DEKs, their wraps and the batch of both. */
static struct {
    struct kt_wrap_batch batch;
    int done;
    uint8_t *deks; /* locked */
    uint8_t *wrapped;
    size_t count;
} w;

static void done(struct kt_wrap_batch *batch)
{
    (*(int *)batch->context)++;
}

static void wraps_close(void)
{
    kt_secmem_free(f.secmem, w.deks);
    free(w.wrapped);
    free(w.batch.items);
}

/* In place of those that are there. */
static void wraps_open(size_t count)
{
    wraps_close();
    w.done = 0;
    w.count = count;
    w.deks = kt_secmem_alloc(f.secmem, count * KT_DEK_NBYTES + 1);
    w.wrapped = calloc(count + 1, KT_WRAPPED_NBYTES);
    w.batch = (struct kt_wrap_batch){.items = calloc(count + 1, sizeof *w.batch.items),
                                     .count = count,
                                     .provider = kt_providers_find(f.providers, kt_span_str("local")),
                                     .done = done,
                                     .context = &w.done};
    cr_assert(w.deks && w.wrapped && w.batch.items && w.batch.provider);
    for (size_t i = 0; i < count; i++) {
        fixture_dek((uint32_t)i, w.deks + i * KT_DEK_NBYTES);
        w.batch.items[i] =
            (struct kt_wrap_item){.wrapped = kt_span_of(w.wrapped + i * KT_WRAPPED_NBYTES, KT_WRAPPED_NBYTES),
                                  .dek = w.deks + i * KT_DEK_NBYTES,
                                  .made = w.wrapped + i * KT_WRAPPED_NBYTES,
                                  .made_capacity = KT_WRAPPED_NBYTES,
                                  .status = KT_E_INTERNAL};
    }
}

static void open_fixture(void)
{
    static const char *const ids[] = {"local", "local:other", NULL};
    fixture_open(&f, ids);
}

static void close_fixture(void)
{
    wraps_close();
    fixture_close(&f);
}

TestSuite(strategy_local, .init = open_fixture, .fini = close_fixture);

static enum kt_status wrap(void)
{
    return kt_strategy_local.wrap(&kt_strategy_local, f.engine, &w.batch);
}

static enum kt_status unwrap(void)
{
    return kt_strategy_local.unwrap(&kt_strategy_local, f.engine, &w.batch);
}

Test(strategy_local, batches_of_any_size_come_back)
{
    static const size_t sizes[] = {0, 1, 2, 127, 128, 129, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        wraps_open(sizes[s]);
        cr_assert_eq(wrap(), KT_OK);
        cr_assert_eq(w.done, 1);
        memset(w.deks, 0, w.count * KT_DEK_NBYTES);
        cr_assert_eq(unwrap(), KT_OK);
        cr_assert_eq(w.done, 2);
        for (size_t i = 0; i < w.count; i++) {
            uint8_t dek[KT_DEK_NBYTES];
            fixture_dek((uint32_t)i, dek);
            cr_assert_eq(w.batch.items[i].status, KT_OK);
            cr_assert_null(w.batch.items[i].reason);
            cr_assert_eq(w.batch.items[i].made_nbytes, KT_WRAPPED_NBYTES);
            cr_assert_arr_eq(w.deks + i * KT_DEK_NBYTES, dek, KT_DEK_NBYTES);
        }
    }
}

Test(strategy_local, the_same_dek_wraps_differently_each_time)
{
    wraps_open(1);
    uint8_t before[KT_WRAPPED_NBYTES];
    cr_assert_eq(wrap(), KT_OK);
    memcpy(before, w.wrapped, sizeof before);
    cr_assert_eq(wrap(), KT_OK);
    cr_expect_neq(memcmp(before, w.wrapped, sizeof before), 0);
}

Test(strategy_local, each_item_fails_for_itself)
{
    wraps_open(200);
    cr_assert_eq(wrap(), KT_OK);
    memset(w.deks, 0, w.count * KT_DEK_NBYTES);
    w.wrapped[3 * KT_WRAPPED_NBYTES] ^= 1;         /* IV */
    w.wrapped[130 * KT_WRAPPED_NBYTES + 60] ^= 1;  /* S */
    w.wrapped[131 * KT_WRAPPED_NBYTES + 159] ^= 1; /* T */
    w.batch.items[4].wrapped.nbytes = 159;
    w.batch.items[5].wrapped.nbytes = 0;
    w.batch.items[199].wrapped.nbytes = 144;
    cr_assert_eq(unwrap(), KT_OK);
    cr_assert_eq(w.done, 2);
    for (size_t i = 0; i < w.count; i++) {
        const struct kt_wrap_item *item = &w.batch.items[i];
        enum kt_status expected = i == 3 || i == 130 || i == 131 ? KT_E_UNAUTHENTIC
                                  : i == 4 || i == 5 || i == 199 ? KT_E_KEY
                                                                 : KT_OK;
        uint8_t zeros[KT_DEK_NBYTES] = {0};
        cr_assert_eq(item->status, expected);
        cr_assert_eq(item->reason == NULL, expected == KT_OK);
        cr_assert_eq(memcmp(item->dek, zeros, sizeof zeros) == 0, expected != KT_OK);
    }
}

Test(strategy_local, another_master_key_does_not_open)
{
    wraps_open(10);
    cr_assert_eq(wrap(), KT_OK);
    w.batch.provider = kt_providers_find(f.providers, kt_span_str("local:other"));
    cr_assert_eq(unwrap(), KT_OK);
    for (size_t i = 0; i < w.count; i++)
        cr_assert_eq(w.batch.items[i].status, KT_E_UNAUTHENTIC);
}

/* 96 to 111 bytes all seal to 160. */
Test(strategy_local, only_96_bytes_are_a_dek)
{
    uint8_t plaintext[111] = {1, 2, 3};
    wraps_open(16);
    memset(w.deks, 0, w.count * KT_DEK_NBYTES);
    for (size_t i = 0; i < 16; i++)
        fixture_wrap(&f, "local", kt_span_of(plaintext, 96 + i), w.wrapped + i * KT_WRAPPED_NBYTES);
    cr_assert_eq(unwrap(), KT_OK);
    cr_expect_eq(w.batch.items[0].status, KT_OK);
    for (size_t i = 1; i < 16; i++) {
        cr_expect_eq(w.batch.items[i].status, KT_E_KEY);
        cr_expect_eq(w.deks[i * KT_DEK_NBYTES], 0);
    }
}

Test(strategy_local, no_room_for_the_result_is_an_error_of_the_item)
{
    wraps_open(2);
    w.batch.items[0].made_capacity = KT_WRAPPED_NBYTES - 1;
    cr_assert_eq(wrap(), KT_OK);
    cr_expect_eq(w.batch.items[0].status, KT_E_INTERNAL);
    cr_expect_eq(w.batch.items[1].status, KT_OK);
}

Test(strategy_local, little_locked_memory_makes_smaller_runs_none_an_error)
{
    wraps_open(300);
    uint8_t *last = NULL;
    for (uint8_t *p; (p = kt_secmem_alloc(f.secmem, 512));)
        last = p;
    while (kt_secmem_alloc(f.secmem, 64))
        ;
    cr_expect_eq(wrap(), KT_E_NOMEM);
    cr_expect_eq(w.done, 0);
    kt_secmem_free(f.secmem, last);
    cr_expect_eq(wrap(), KT_OK);
    memset(w.deks, 0, w.count * KT_DEK_NBYTES);
    cr_expect_eq(unwrap(), KT_OK);
    cr_expect_eq(w.done, 2);
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t dek[KT_DEK_NBYTES];
        fixture_dek(i, dek);
        cr_assert_arr_eq(w.deks + i * KT_DEK_NBYTES, dek, KT_DEK_NBYTES);
    }
}

Test(strategy_local, locked_memory_is_given_back)
{
    wraps_open(300);
    size_t before = kt_secmem_available(f.secmem);
    cr_assert_eq(wrap(), KT_OK);
    cr_assert_eq(unwrap(), KT_OK);
    cr_expect_eq(kt_secmem_available(f.secmem), before);
}

Test(strategy_local, strategies_are_found_by_kms_or_by_the_jobs_choice)
{
    const struct kt_strategies by_default = {0};
    const struct kt_provider local = {.id = "local", .kms = KT_KMS_LOCAL},
                             aws = {.id = "aws", .kms = KT_KMS_AWS};
    cr_expect_eq(kt_strategies_find(&by_default, &local), &kt_strategy_local);
    cr_expect_null(kt_strategies_find(&by_default, &aws));
    cr_expect_null(kt_strategy_for(KT_KMS_KMIP));
}

/* The published key document of libmongocrypt's tests: 96 zero bytes open it. */
Test(strategy_local, a_published_key_document_opens)
{
    if (!kt_shared_present())
        cr_skip_test("no shared test data");
    struct kt_providers *zeros;
    struct kt_key_doc key;
    struct kt_error err = {0};
    bson_t *providers =
        BCON_NEW("local", "{", "key", BCON_BIN(BSON_SUBTYPE_BINARY, (uint8_t[96]){0}, 96), "}");
    cr_assert_eq(kt_providers_new(&zeros, kt_span_of(bson_get_data(providers), providers->len),
                                  (struct kt_span){0}, "kms.json", f.secmem, f.engine, &err),
                 KT_OK, "%s", err.message);
    bson_t *doc =
        kt_shared_json("vectors/libmongocrypt-keys/12345678123498761234123456789012-local-document.json");
    cr_assert_not_null(doc);
    cr_assert_eq(kt_key_doc_parse(kt_span_of(bson_get_data(doc), doc->len), &key, &err), KT_OK, "%s",
                 err.message);
    size_t nbytes;
    uint8_t *hex = kt_read_file(
        kt_shared_path("vectors/libmongocrypt-keys/12345678123498761234123456789012-key-material.txt"),
        &nbytes);
    uint8_t expected[KT_DEK_NBYTES];
    cr_assert_not_null(hex);
    hex[strcspn((char *)hex, "\r\n")] = 0;
    cr_assert_eq(kt_unhex((char *)hex, expected, sizeof expected), KT_DEK_NBYTES);
    wraps_open(1);
    w.batch.provider = kt_providers_at(zeros, 0);
    w.batch.items[0].wrapped = key.key_material;
    cr_assert_eq(unwrap(), KT_OK);
    cr_expect_eq(w.batch.items[0].status, KT_OK);
    cr_expect_arr_eq(w.deks, expected, KT_DEK_NBYTES);
    free(hex);
    bson_destroy(doc);
    bson_destroy(providers);
    kt_providers_free(zeros);
}
