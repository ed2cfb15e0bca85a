/* SPDX-License-Identifier: Apache-2.0 */
/* KMIP messages. The default way: a key of 96 bytes is fetched from the server once and wraps DEKs here, as a
 * local master key does. The delegated way: the server encrypts each DEK.
 * Source: OASIS KMIP 1.0 and 1.2; libmongocrypt kms_kmip_request.c, kms_kmip_response.c. */
#ifndef KT_KMS_KMIP_H
#define KT_KMS_KMIP_H

#include "kms/cmk.h"
#include "kms/exchange.h"

#define KT_KMIP_KEK_NBYTES 96

/* Requests are batch items, answers too; kt_kmip_frame and kt_kmip_unframe put several into one message.
 * kek: locked memory of KT_KMIP_KEK_NBYTES. */
enum kt_verdict kt_kmip_build_get(struct kt_kms_call *call, const struct kt_cmk *cmk, struct kt_exchange *x);
enum kt_verdict kt_kmip_parse_get(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                  const struct kt_exchange *x, uint8_t *kek);

/* Delegated WRAP and UNWRAP. */
enum kt_verdict kt_kmip_build(struct kt_kms_call *call, const struct kt_cmk *cmk, struct kt_exchange *x);
enum kt_verdict kt_kmip_parse(struct kt_kms_call *call, const struct kt_cmk *cmk,
                              const struct kt_exchange *x);

/* RESOLVE of a masterKey without keyId, in two steps: make the key (call->loop.step 0), activate it (1, 2
 * when it may have been done). The key's id stands in call->out between the steps; secret is locked memory
 * with 96 random bytes. */
enum kt_verdict kt_kmip_build_new(struct kt_kms_call *call, const struct kt_cmk *cmk, struct kt_span secret,
                                  struct kt_exchange *x);
enum kt_verdict kt_kmip_parse_new(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                  const struct kt_exchange *x);

/* One message of count batch items; minor: KMIP 1.minor. Items carry their index as id when count > 1. */
void kt_kmip_frame(struct kt_secbuf *out, uint32_t minor, const struct kt_span *items, size_t count);

/* The answers, items[i] to the i-th request; data NULL: none. An answer that rejects the message as a whole
 * is everybody's. False: no legal message. */
bool kt_kmip_unframe(struct kt_span message, struct kt_span *items, size_t count);

/* Whether an answer says that the server takes no batches. */
bool kt_kmip_refuses_batch(struct kt_span item);

/* AEAD_AES_256_CBC_HMAC_SHA_512 without associated data, 96 <-> 160 bytes, as local master keys wrap. open:
 * false when the tag does not match, or what was wrapped is not 96 bytes long; nothing is written then.
 * Neither leaves a copy of the DEK. */
#define KT_KMIP_WRAPPED_NBYTES 160
bool kt_kek_seal(const uint8_t kek[96], const uint8_t iv[16], const uint8_t dek[96], uint8_t wrapped[160]);
bool kt_kek_open(const uint8_t kek[96], const uint8_t wrapped[160], uint8_t dek[96]);

#endif
