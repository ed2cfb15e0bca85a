/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_ENGINE_SELFTEST_H
#define KT_ENGINE_SELFTEST_H

#include "engine/backend.h"

/* The known-answer test that a backend passes before it is used: the vector of
 * draft-mcgrew-aead-aes-cbc-hmac-sha2-05, section 5.4; 64 messages of growing length in both modes under two
 * keys, and 66 that are alike, whose sealed bytes have a known SHA-512 (made with OpenSSL); then all are
 * opened, one of them forged. KT_OK, KT_E_NOMEM, or KT_E_INTERNAL when a byte differs. */
KT_MUST_USE enum kt_status kt_selftest(const struct kt_backend *backend, void *state);

#endif
