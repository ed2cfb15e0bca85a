/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 in BSON strings. */
#ifndef KT_CSFLE_BSON_UTF8_H
#define KT_CSFLE_BSON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 3629, and C0 80 for NUL, which drivers take too. NUL itself is legal. */
bool kt_utf8_ok(const uint8_t *text, size_t nbytes);

#endif
