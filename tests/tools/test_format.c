/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/format.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

Test(format, counts_have_thousands_separators)
{
    cr_assert(eq(str, kt_count_text(0).s, "0"));
    cr_assert(eq(str, kt_count_text(999).s, "999"));
    cr_assert(eq(str, kt_count_text(1000).s, "1,000"));
    cr_assert(eq(str, kt_count_text(100000).s, "100,000"));
    cr_assert(eq(str, kt_count_text(UINT64_MAX).s, "18,446,744,073,709,551,615"));
}

Test(format, sizes_round_into_the_next_unit)
{
    cr_assert(eq(str, kt_size_text(0).s, "0 bytes"));
    cr_assert(eq(str, kt_size_text(999).s, "999 bytes"));
    cr_assert(eq(str, kt_size_text(1000).s, "1.0 KB"));
    cr_assert(eq(str, kt_size_text(102378063).s, "102.4 MB"));
    cr_assert(eq(str, kt_size_text(999949999).s, "999.9 MB"));
    cr_assert(eq(str, kt_size_text(999950000).s, "1.0 GB"));
    cr_assert(eq(str, kt_size_text(UINT64_MAX).s, "18.4 EB"));
}

Test(format, durations)
{
    cr_assert(eq(str, kt_duration_text(0).s, "0.0 s"));
    cr_assert(eq(str, kt_duration_text(0.34).s, "0.3 s"));
    cr_assert(eq(str, kt_duration_text(9.96).s, "10 s"));
    cr_assert(eq(str, kt_duration_text(119.4).s, "119 s"));
    cr_assert(eq(str, kt_duration_text(148).s, "2:28"));
    cr_assert(eq(str, kt_duration_text(3599.9).s, "1:00:00"));
    cr_assert(eq(str, kt_duration_text(-1).s, "0.0 s"));
    cr_assert(eq(str, kt_duration_text(NAN).s, "0.0 s"));
    cr_assert(strlen(kt_duration_text(INFINITY).s) < 40);
}

Test(format, counts_are_digits_within_the_limit)
{
    uint64_t n = 7;
    cr_assert(kt_parse_count("0", 10, &n) && n == 0);
    cr_assert(kt_parse_count("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
    const char *const bad[] = {"",     " 1",  "1 ",    "+1", "-1",
                               "0x10", "1e3", "1,000", "11", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(not(kt_parse_count(bad[i], 10, &n)), "%s", bad[i]);
    cr_assert(not(kt_parse_count("18446744073709551616", UINT64_MAX, &n)));
}

Test(format, ages_have_one_unit)
{
    int64_t ms;
    cr_assert(kt_parse_age("90d", &ms) && ms == 7776000000);
    cr_assert(kt_parse_age("12h", &ms) && ms == 43200000);
    cr_assert(kt_parse_age("1s", &ms) && ms == 1000);
    cr_assert(kt_parse_age("2w", &ms) && ms == 1209600000);
    const char *const bad[] = {"", "d", "90", "0d", "-1d", "1.5d", "1dd", "1y", "1D", "9223372036854775807w"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(not(kt_parse_age(bad[i], &ms)), "%s", bad[i]);
}

Test(format, edit_distance)
{
    cr_assert(eq(int, kt_edit_distance("from", "from"), 0));
    cr_assert(eq(int, kt_edit_distance("form", "from"), 2));
    cr_assert(eq(int, kt_edit_distance("", "to"), 2));
    cr_assert(eq(int, kt_edit_distance("verfy", "verify"), 1));
    char huge[400];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    cr_assert(eq(int, kt_edit_distance(huge, "from"), 99));
}
