/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "jobs/rewrap.h"

/* What the plan promises is what the job then takes. */
Test(rewrap_plan, the_sample_is_as_large_as_the_plan_says)
{
    uint64_t taken = 0;
    for (uint64_t keys = 0; keys <= 5000; keys++) {
        cr_assert(eq(u64, kt_rewrap_sample_of(keys), taken), "%llu keys", (unsigned long long)keys);
        taken += kt_rewrap_in_sample(keys);
    }
}

Test(rewrap_plan, a_doomed_job_that_failed_nothing_is_no_success)
{
    struct kt_error err;
    struct kt_job job = {.doomed = true, .failed = 1};
    cr_assert(eq(int, kt_rewrap_check_doom(&job, &err), KT_OK));
    job.failed = 0;
    cr_assert(eq(int, kt_rewrap_check_doom(&job, &err), KT_E_NET));
    job.doomed = false;
    cr_assert(eq(int, kt_rewrap_check_doom(&job, &err), KT_OK));
}

Test(rewrap_plan, at_least_ten_and_one_in_a_hundred)
{
    cr_assert(eq(u64, kt_rewrap_sample_of(0), 0));
    cr_assert(eq(u64, kt_rewrap_sample_of(3), 3));
    cr_assert(eq(u64, kt_rewrap_sample_of(10), 10));
    for (uint64_t keys = 11; keys < UINT64_MAX / 3; keys *= 3) {
        cr_expect(ge(u64, kt_rewrap_sample_of(keys), 10));
        cr_expect(ge(u64, kt_rewrap_sample_of(keys), keys / 100));
    }
}
