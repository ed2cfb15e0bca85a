/* SPDX-License-Identifier: Apache-2.0 */
/* The same AEAD by OpenSSL's EVP, one message at a time: what every backend is compared with. */
#ifndef KT_TESTS_ENGINE_ORACLE_H
#define KT_TESTS_ENGINE_ORACLE_H

#include <stddef.h>
#include <stdint.h>

/* HMAC-SHA-512 of data. */
void oracle_hmac(const uint8_t *key, size_t key_nbytes, const uint8_t *data, size_t nbytes,
                 uint8_t digest[64]);

/* Appends to sealed: IV || S || tag; iv NULL: deterministic. Returns the sealed length. */
size_t oracle_seal(const uint8_t dek[96], const uint8_t *iv, const uint8_t *aad, size_t aad_nbytes,
                   const uint8_t *plain, size_t nbytes, uint8_t *sealed);

/* The tag of IV || S. */
void oracle_tag(const uint8_t mac_key[32], const uint8_t *aad, size_t aad_nbytes,
                const uint8_t *iv_and_blocks, size_t nbytes, uint8_t tag[32]);

/* AES-256-CBC without padding. */
void oracle_cbc(const uint8_t key[32], const uint8_t iv[16], const uint8_t *in, size_t nbytes, uint8_t *out);

#endif
