/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "csfle/bson_type.h"
#include "tests/csfle/csfle_support.h"
#include "tests/support/shared.h"

static void needs_shared(void)
{
    if (!kt_shared_present())
        cr_skip_test("the shared test data is not there");
}

static void is_accepted(const char *description, struct kt_span bson, void *context)
{
    (void)context;
    cr_expect_eq(kt_bson_check_value(KT_BSON_DOCUMENT, bson), KT_OK, "%s", description);
}

static void is_refused(const char *description, struct kt_span bson, void *context)
{
    (void)context;
    cr_expect_eq(kt_bson_check_value(KT_BSON_DOCUMENT, bson), KT_E_FORMAT, "%s", description);
}

Test(bson_check, takes_every_valid_corpus_case, .init = needs_shared)
{
    cr_assert_eq(kt_each_corpus_case("valid", "canonical_bson", is_accepted, NULL), 734);
    cr_assert_eq(kt_each_corpus_case("valid", "degenerate_bson", is_accepted, NULL), 5);
}

Test(bson_check, refuses_every_corpus_case_that_must_be, .init = needs_shared)
{
    cr_assert_eq(kt_each_corpus_case("decodeErrors", "bson", is_refused, NULL), 76);
}

/* A proper prefix of a document is none, whatever its length says. */
static void has_no_valid_prefix(const char *description, struct kt_span bson, void *context)
{
    (void)context;
    for (size_t n = 0; n < bson.nbytes; n++) {
        uint8_t *prefix = kt_exact(bson.data, n);
        cr_expect_eq(kt_bson_check_value(KT_BSON_DOCUMENT, kt_span_of(prefix, n)), KT_E_FORMAT, "%s at %zu",
                     description, n);
        if (n >= 4)
            kt_store_le32(prefix, (uint32_t)n);
        cr_expect_eq(kt_bson_check_value(KT_BSON_DOCUMENT, kt_span_of(prefix, n)), KT_E_FORMAT,
                     "%s cut at %zu", description, n);
        free(prefix);
    }
}

Test(bson_check, refuses_truncations, .init = needs_shared)
{
    cr_assert_gt(kt_each_corpus_case("valid", "canonical_bson", has_no_valid_prefix, NULL), 0);
}

/* Code whose string takes all of its length: no scope is left. */
Test(bson_check, refuses_code_without_its_scope)
{
    static const uint8_t bytes[] = {22, 0, 0, 0, 0x0f, 'a', 0,   14,  0,   0, 0,
                                    6,  0, 0, 0, 'f',  'o', 'o', 'b', 'a', 0, 0};
    uint8_t *exact = kt_exact(bytes, sizeof bytes);
    cr_expect_eq(kt_bson_check_value(KT_BSON_DOCUMENT, kt_span_of(exact, sizeof bytes)), KT_E_FORMAT);
    cr_expect_eq(kt_bson_check_value(KT_BSON_CODE_W_SCOPE, kt_span_of(exact + 7, 14)), KT_E_FORMAT);
    free(exact);
}
