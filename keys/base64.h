/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 as libmongocrypt reads it in kmsProviders: the standard alphabet (RFC 4648, section 4), padded,
 * white space anywhere. */
#ifndef KT_KEYS_BASE64_H
#define KT_KEYS_BASE64_H

#include <stdbool.h>

#include "common/span.h"

/* False when text is no base64; else the number of bytes that it stands for. */
bool kt_base64_nbytes(struct kt_span text, size_t *nbytes);

/* Decodes a text that kt_base64_nbytes took and gave nbytes for. scratch has room for
 * KT_BASE64_SCRATCH(nbytes) bytes, out for nbytes; both hold secrets afterwards, nothing else does. */
#define KT_BASE64_SCRATCH(nbytes) (((nbytes) + 2) / 3 * 7)
void kt_base64_read(struct kt_span text, size_t nbytes, uint8_t *scratch, uint8_t *out);

#endif
