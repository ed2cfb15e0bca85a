/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "keyturn/status.h"

static const enum kt_status every_status[] = {
#define X(code, category, text) KT_##code,
    KT_STATUS_MAP(X)
#undef X
};
#define EVERY_COUNT (sizeof every_status / sizeof every_status[0])

Test(status, every_code_has_a_name_of_its_own_and_a_text)
{
    for (size_t i = 0; i < EVERY_COUNT; i++) {
        const char *name = kt_status_name(every_status[i]);
        cr_assert_eq(strncmp(name, "KT_", 3), 0);
        cr_assert_gt(strlen(kt_status_text(every_status[i])), 5);
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(name, kt_status_name(every_status[j]));
    }
}

Test(status, names_and_categories_are_the_documented_ones)
{
    cr_expect_str_eq(kt_status_name(KT_OK), "KT_OK");
    cr_expect_str_eq(kt_status_name(KT_E_IO), "KT_E_IO");
    cr_expect_eq(kt_status_category(KT_OK), KT_CAT_OK);
    cr_expect_eq(kt_status_category(KT_E_CONFIG), KT_CAT_USAGE);
    cr_expect_eq(kt_status_category(KT_E_FORMAT), KT_CAT_DATA);
    cr_expect_eq(kt_status_category(KT_E_UNAUTHENTIC), KT_CAT_AUTH);
    cr_expect_eq(kt_status_category(KT_E_NET), KT_CAT_RETRY);
    cr_expect_eq(kt_status_category(KT_E_NOMEM), KT_CAT_INTERNAL);
}

Test(status, only_ok_has_the_category_ok)
{
    for (size_t i = 0; i < EVERY_COUNT; i++)
        cr_expect_eq(kt_status_category(every_status[i]) == KT_CAT_OK, every_status[i] == KT_OK);
}

Test(status, unknown_values_read_as_internal)
{
    const int unknown[] = {-1, (int)EVERY_COUNT, 255, 1 << 30};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        cr_expect_str_eq(kt_status_name((enum kt_status)unknown[i]), "KT_E_INTERNAL");
        cr_expect_eq(kt_status_category((enum kt_status)unknown[i]), KT_CAT_INTERNAL);
    }
}

Test(status, fail_fills_the_error_and_returns_the_status)
{
    struct kt_error err = {0};
    cr_expect_eq(kt_fail(&err, KT_E_IO, "%s: %d", "/tmp/a.bson", 7), KT_E_IO);
    cr_expect_eq(err.status, KT_E_IO);
    cr_expect_str_eq(err.message, "/tmp/a.bson: 7");
}

Test(status, fail_without_an_error_only_returns)
{
    cr_expect_eq(kt_fail(NULL, KT_E_NET, "%s", "nobody reads this"), KT_E_NET);
}

Test(status, a_message_that_does_not_fit_is_cut)
{
    struct kt_error err;
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    memset(&err, 0x55, sizeof err);
    cr_expect_eq(kt_fail(&err, KT_E_USAGE, "%s", long_text), KT_E_USAGE);
    cr_expect_eq(strlen(err.message), sizeof err.message - 1);
}
