/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <time.h>

#include "common/clock.h"

Test(clock, durations_never_run_backwards)
{
    uint64_t before = kt_clock_ns();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = kt_clock_ns();
        cr_assert_geq(now, before);
        before = now;
    }
}

Test(clock, utc_is_in_milliseconds_between_two_readings_of_time)
{
    time_t before = time(NULL);
    int64_t ms = kt_clock_utc_ms();
    time_t after = time(NULL);
    /* time() reads a coarser clock, which may lag by a tick. */
    cr_expect_geq(ms, (int64_t)before * 1000);
    cr_expect_lt(ms, ((int64_t)after + 2) * 1000);
}
