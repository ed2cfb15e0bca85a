/* SPDX-License-Identifier: Apache-2.0 */
/* Which documents a dotted $set can change; what it says is tested beside the layout. */
#include <criterion/criterion.h>

#include "csfle/layout.h"
#include "csfle/payload.h"
#include "tests/csfle/csfle_support.h"

static const uint8_t key_id[KT_UUID_NBYTES], opened[] = {1, 0, 0, 0};

static const uint8_t *key_of(const void *context, uint32_t key)
{
    (void)context;
    (void)key;
    return key_id;
}

static void append_payload(bson_t *doc, const char *name)
{
    uint8_t blob[KT_PAYLOAD_MIN_NBYTES] = {KT_RANDOM};
    bson_append_binary(doc, name, -1, BSON_SUBTYPE_ENCRYPTED, blob, sizeof blob);
}

/* 0 from kt_layout_set_nbytes for the document, whose payloads are all opened. */
static bool settable(const bson_t *doc)
{
    struct kt_ops ops = {0};
    cr_assert_eq(kt_walk_payloads(bson_get_data(doc), 0, doc->len, &ops, NULL), KT_OK);
    for (size_t i = 0; i < ops.count; i++)
        if (ops.v[i].action == KT_KEEP)
            ops.v[i].action = KT_OPEN;
    struct kt_layout layout = {bson_get_data(doc), opened, key_of, NULL};
    bool can = kt_layout_set_nbytes(&layout, 0, ops.v, ops.count) != 0;
    kt_ops_free(&ops);
    return can;
}

static bool settable_as(const char *outer, const char *name, bool array)
{
    bson_t doc = BSON_INITIALIZER, child;
    if (array) {
        BSON_APPEND_ARRAY_BEGIN(&doc, outer, &child);
        append_payload(&child, name);
        bson_append_array_end(&doc, &child);
    } else {
        BSON_APPEND_DOCUMENT_BEGIN(&doc, outer, &child);
        append_payload(&child, name);
        bson_append_document_end(&doc, &child);
    }
    bool can = settable(&doc);
    bson_destroy(&doc);
    return can;
}

Test(layout, set_refuses_names_that_a_dotted_path_cannot_say)
{
    cr_assert(settable_as("a", "b", false));
    cr_assert(settable_as("a", "b$", false));
    cr_assert(settable_as("a", "0", true));
    cr_assert_not(settable_as("a", "b.c", false));
    cr_assert_not(settable_as("a.b", "c", false));
    cr_assert_not(settable_as("a", "$b", false));
    cr_assert_not(settable_as("$a", "b", false));
    cr_assert_not(settable_as("a", "", false));
    cr_assert_not(settable_as("", "b", false));
    cr_assert_not(settable_as("a", "1", true));
    cr_assert_not(settable_as("a", "00", true));
    cr_assert_not(settable_as("a", "", true));
    cr_assert_not(settable_as("a", "x", true));
}

Test(layout, set_refuses_names_that_stand_twice)
{
    bson_t doc = BSON_INITIALIZER, child;
    append_payload(&doc, "a");
    BSON_APPEND_INT32(&doc, "b", 1);
    cr_assert(settable(&doc));
    BSON_APPEND_INT32(&doc, "b", 2);
    cr_assert(settable(&doc), "b is not touched");
    BSON_APPEND_INT32(&doc, "a", 2);
    cr_assert_not(settable(&doc));
    bson_reinit(&doc);
    BSON_APPEND_DOCUMENT(&doc, "o", &(bson_t)BSON_INITIALIZER);
    BSON_APPEND_DOCUMENT_BEGIN(&doc, "o", &child);
    append_payload(&child, "x");
    bson_append_document_end(&doc, &child);
    cr_assert_not(settable(&doc));
    bson_destroy(&doc);
}
