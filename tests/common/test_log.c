/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

struct seen {
    int lines;
    enum kt_log_level level;
    char last[2000];
};

static void keep(void *context, enum kt_log_level level, const char *line)
{
    struct seen *seen = context;
    seen->lines++;
    seen->level = level;
    snprintf(seen->last, sizeof seen->last, "%s", line);
}

Test(log, a_line_reaches_the_callback_formatted)
{
    struct seen seen = {0};
    struct kt_log log = {KT_LOG_INFO, keep, &seen};
    kt_log(&log, KT_LOG_WARN, "%s has %d keys", "vault", 3);
    cr_expect_eq(seen.lines, 1);
    cr_expect_eq(seen.level, KT_LOG_WARN);
    cr_expect_str_eq(seen.last, "vault has 3 keys");
}

Test(log, lines_below_the_level_are_left_out)
{
    struct seen seen = {0};
    struct kt_log log = {KT_LOG_WARN, keep, &seen};
    kt_log(&log, KT_LOG_INFO, "no");
    kt_log(&log, KT_LOG_DEBUG, "no");
    cr_expect_eq(seen.lines, 0);
    kt_log(&log, KT_LOG_WARN, "yes");
    kt_log(&log, KT_LOG_ERROR, "yes");
    cr_expect_eq(seen.lines, 2);
}

Test(log, without_a_log_or_a_callback_there_is_silence)
{
    struct kt_log mute = {KT_LOG_DEBUG, NULL, NULL};
    kt_log(NULL, KT_LOG_ERROR, "%d", 1);
    kt_log(&mute, KT_LOG_ERROR, "%d", 1);
}

Test(log, an_overlong_line_is_cut)
{
    struct seen seen = {0};
    struct kt_log log = {KT_LOG_INFO, keep, &seen};
    kt_log(&log, KT_LOG_INFO, "%05000d", 7);
    cr_expect_eq(strlen(seen.last), 999);
}
