/* SPDX-License-Identifier: Apache-2.0 */
/* How messages speak of keys. */
#ifndef KT_KEYS_KEY_TEXT_H
#define KT_KEYS_KEY_TEXT_H

#include "common/span.h"

/* A UUID as hex with dashes (RFC 9562, section 4), NUL-terminated. */
#define KT_UUID_TEXT_NBYTES 37
void kt_uuid_text(const uint8_t id[16], char out[KT_UUID_TEXT_NBYTES]);

/* A name that comes from a document, made fit for one line: control characters become '?', what does not fit
 * is cut at a character's boundary and ends in "...". NUL-terminated; nbytes >= 8. */
void kt_name_text(struct kt_span name, char *out, size_t nbytes);

#endif
