/* SPDX-License-Identifier: Apache-2.0 */
/* Where the library's log lines go. */
#ifndef KEYTURN_LOG_H
#define KEYTURN_LOG_H

#include "keyturn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum kt_log_level { KT_LOG_ERROR, KT_LOG_WARN, KT_LOG_INFO, KT_LOG_DEBUG };

/* write is called from any thread with one line, no newline at its end; it must not call the library. Lines
 * below `level` in importance are not formatted. */
struct kt_log {
    enum kt_log_level level;
    void (*write)(void *context, enum kt_log_level level, const char *line);
    void *context;
};

#ifdef __cplusplus
}
#endif
#endif
