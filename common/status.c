/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "keyturn/status.h"

static const struct {
    const char *name, *text;
    enum kt_category category;
} status_table[] = {
#define X(code, category, text) {"KT_" #code, text, KT_CAT_##category},
    KT_STATUS_MAP(X)
#undef X
};

static size_t status_index(enum kt_status status)
{
    size_t n = sizeof status_table / sizeof status_table[0];
    return (size_t)status < n ? (size_t)status : (size_t)KT_E_INTERNAL;
}

const char *kt_status_name(enum kt_status status)
{
    return status_table[status_index(status)].name;
}

const char *kt_status_text(enum kt_status status)
{
    return status_table[status_index(status)].text;
}

enum kt_category kt_status_category(enum kt_status status)
{
    return status_table[status_index(status)].category;
}

enum kt_status kt_fail(struct kt_error *err, enum kt_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    err->status = status;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    return status;
}
