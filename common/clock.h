/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_COMMON_CLOCK_H
#define KT_COMMON_CLOCK_H

#include <stdint.h>

/* Nanoseconds that never run backwards; for durations. */
uint64_t kt_clock_ns(void);

/* Milliseconds since 1970-01-01 UTC, as BSON dates count. */
int64_t kt_clock_utc_ms(void);

#endif
