/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>

void kt_log(const struct kt_log *log, enum kt_log_level level, const char *fmt, ...)
{
    if (!log || !log->write || level > log->level)
        return;
    char line[1000];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    log->write(log->context, level, line);
}
