/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/summary.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char *rewrapped(const struct kt_job_result *result)
{
    struct kt_job_options options = {.kind = KT_JOB_REWRAP, .all_or_nothing = true};
    char *text = NULL;
    size_t nbytes;
    FILE *out = open_memstream(&text, &nbytes);
    kt_summary_print(out, &options, result);
    fclose(out);
    return text;
}

Test(summary, what_was_withheld_was_not_copied_either)
{
    struct kt_job_result result = {.withheld = true, .keys = {.read = 10, .matched = 6, .failed = 2}};
    char *text = rewrapped(&result);
    cr_expect_not_null(strstr(text, "2 failed"), "%s", text);
    cr_expect_null(strstr(text, "copied"), "%s", text);
    free(text);
    result = (struct kt_job_result){.keys = {.read = 10, .matched = 6, .rewrapped = 6}};
    text = rewrapped(&result);
    cr_expect_not_null(strstr(text, "4 others copied"), "%s", text);
    free(text);
}
