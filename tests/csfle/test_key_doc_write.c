/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "csfle/key_doc.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

static void needs_shared(void)
{
    if (!kt_shared_present())
        cr_skip_test("the shared test data is not there");
}

static const char *const published[] = {
    "vectors/csfle-corpus/corpus-key-aws.json",
    "vectors/csfle-corpus/corpus-key-azure.json",
    "vectors/csfle-corpus/corpus-key-gcp.json",
    "vectors/csfle-corpus/corpus-key-kmip.json",
    "vectors/csfle-corpus/corpus-key-local.json",
    "vectors/csfle-external/external-key.json",
    "vectors/libmongocrypt-keys/12345678123498761234123456789012-local-document.json",
};

/* The document that libbson makes when it changes the three fields where they stand. */
static void change_slowly(const bson_t *doc, const bson_t *master, const uint8_t *material, uint32_t nbytes,
                          int64_t ms, bson_t *out)
{
    bson_iter_t iter;
    bson_init(out);
    cr_assert(bson_iter_init(&iter, doc));
    while (bson_iter_next(&iter)) {
        const char *name = bson_iter_key(&iter);
        if (strcmp(name, "masterKey") == 0)
            BSON_APPEND_DOCUMENT(out, name, master);
        else if (strcmp(name, "keyMaterial") == 0)
            BSON_APPEND_BINARY(out, name, BSON_SUBTYPE_BINARY, material, nbytes);
        else if (strcmp(name, "updateDate") == 0)
            BSON_APPEND_DATE_TIME(out, name, ms);
        else
            bson_append_iter(out, NULL, 0, &iter);
    }
}

Test(key_doc, an_update_changes_three_fields_in_their_places, .init = needs_shared)
{
    bson_t *master = kt_json("{'provider': 'aws', 'region': 'eu-west-1', 'key': 'k2'}");
    uint8_t material[160];
    memset(material, 0x5a, sizeof material);
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        bson_t *doc = kt_shared_json(published[i]), expected;
        struct kt_key_doc key;
        cr_assert_eq(kt_key_doc_parse(kt_bson_span(doc), &key, NULL), KT_OK);
        change_slowly(doc, master, material, sizeof material, 1234567890123, &expected);
        size_t nbytes = kt_key_doc_update_nbytes(&key, kt_bson_span(master), sizeof material), hole;
        cr_assert_eq(nbytes, expected.len);
        uint8_t *out = malloc(nbytes);
        cr_assert_eq(
            kt_key_doc_update(&key, kt_bson_span(master), sizeof material, 1234567890123, out, &hole),
            nbytes);
        memcpy(out + hole, material, sizeof material);
        cr_expect_arr_eq(out, bson_get_data(&expected), nbytes, "%s", published[i]);
        cr_expect_eq(kt_key_doc_parse(kt_span_of(out, nbytes), &key, NULL), KT_OK);
        free(out);
        bson_destroy(&expected);
        bson_destroy(doc);
    }
    bson_destroy(master);
}

Test(key_doc, a_new_document)
{
    bson_t *master = kt_json("{'provider': 'local'}"), expected = BSON_INITIALIZER, names;
    uint8_t id[16] = "0123456789abcde", material[160] = {1};
    struct kt_span alt_names[] = {kt_span_str("one"), kt_span_str("two")};
    struct kt_key_doc_new key = {id, kt_span_of(material, 160), kt_bson_span(master), 42, alt_names, 2};
    BSON_APPEND_BINARY(&expected, "_id", BSON_SUBTYPE_UUID, id, 16);
    BSON_APPEND_ARRAY_BEGIN(&expected, "keyAltNames", &names);
    BSON_APPEND_UTF8(&names, "0", "one");
    BSON_APPEND_UTF8(&names, "1", "two");
    bson_append_array_end(&expected, &names);
    BSON_APPEND_BINARY(&expected, "keyMaterial", BSON_SUBTYPE_BINARY, material, 160);
    BSON_APPEND_DATE_TIME(&expected, "creationDate", 42);
    BSON_APPEND_DATE_TIME(&expected, "updateDate", 42);
    BSON_APPEND_INT32(&expected, "status", 0);
    BSON_APPEND_DOCUMENT(&expected, "masterKey", master);
    struct kt_buf out = {0};
    cr_assert_eq(kt_buf_append(&out, "before", 6), KT_OK);
    cr_assert_eq(kt_key_doc_build(&key, &out), KT_OK);
    cr_assert_eq(out.nbytes, 6 + expected.len);
    cr_expect_arr_eq(out.data + 6, bson_get_data(&expected), expected.len);
    struct kt_key_doc parsed;
    cr_expect_eq(kt_key_doc_parse(kt_span_of(out.data + 6, expected.len), &parsed, NULL), KT_OK);
    kt_buf_free(&out);
    bson_destroy(&expected);
    bson_destroy(master);
}
