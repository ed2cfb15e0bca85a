/* SPDX-License-Identifier: Apache-2.0 */
/* The library's only voice besides statuses: a callback that the program installs. Callers never pass key
 * material or plaintext. */
#ifndef KT_COMMON_LOG_H
#define KT_COMMON_LOG_H

#include "keyturn/log.h"

/* log may be NULL (silence). Threads: any; the callback must be thread-safe. Lines over 1,000 bytes are cut.
 */
void kt_log(const struct kt_log *log, enum kt_log_level level, const char *fmt, ...) KT_PRINTF(3, 4);

#endif
