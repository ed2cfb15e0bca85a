/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: seals and opens batches of independent messages.
 *
 * Algorithm: AEAD_AES_256_CBC_HMAC_SHA_512 as MongoDB's CSFLE uses it (MongoDB specifications,
 * client-side-encryption; draft-mcgrew-aead-aes-cbc-hmac-sha2-05, section 2, the tag cut to 32 bytes):
 * - DEK = Km(32) || Ke(32) || Kiv(32): for the tag, for AES-256, for deterministic IVs
 * - sealed = IV(16) || S || T(32)
 * - S = AES-256-CBC(Ke, IV, PKCS#7(plaintext)), 1 to 16 bytes of padding
 * - T = HMAC-SHA-512(Km, AAD || IV || S || BE64(8 * len(AAD)))[0,32)
 * - deterministic IV = HMAC-SHA-512(Kiv, AAD || BE64(8 * len(AAD)) || plaintext)[0,16)
 *
 * Threads: an engine belongs to one thread at a time; prepared keys are read-only and may be shared. */
#ifndef KEYTURN_ENGINE_H
#define KEYTURN_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "keyturn/log.h"
#include "keyturn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KT_DEK_NBYTES 96      /* a DEK, and a local master key */
#define KT_AAD_NBYTES 18      /* subtype(1) || key UUID(16) || BSON type(1): the AAD of a stored value */
#define KT_AAD_MAX 8191       /* the longest AAD that a message may have */
#define KT_SEAL_MIN_NBYTES 64 /* IV, one block, tag: the shortest sealed message */
#define KT_WRAPPED_NBYTES 160 /* a DEK sealed under a local master key, without AAD */

/* Sealed length of a plaintext of n bytes. */
#define KT_SEALED_NBYTES(n) (48 + 16 * ((size_t)(n) / 16 + 1))

/* One prepared key: AES schedules and HMAC midstates in one flat layout that every backend reads. Secret:
 * keep it in locked memory and wipe it. Opaque to callers but for its size and its alignment of 64 bytes. */
struct kt_key;
#define KT_KEY_NBYTES 768
#define KT_KEY_ALIGN 64

enum kt_mode {
    KT_MODE_RANDOM,        /* seal: the engine draws the IV */
    KT_MODE_DETERMINISTIC, /* seal: the IV comes from the plaintext */
    KT_MODE_IV_GIVEN,      /* seal: the caller has written the 16 IV bytes at `out` */
};

/* One message. Offsets count bytes from the start of the batch's arenas. key indexes the batch's keys.
 *
 * seal: reads in_nbytes of plaintext at `in` (0 is legal here; no BSON value is empty); writes
 * KT_SEALED_NBYTES(in_nbytes) at `out`; the AAD is the aad_nbytes just before `out` (0: none, a wrapped DEK).
 * out_nbytes is set to what was written.
 *
 * open: reads in_nbytes of sealed bytes at `in`; the AAD is the aad_nbytes just before `in`; writes at most
 * in_nbytes - 49 bytes of plaintext at `out`, whose length goes to out_nbytes. Room for in_nbytes - 48 bytes
 * must be there: a backend may store whole blocks.
 *
 * status is an enum kt_status: KT_OK, KT_E_VALUE (in_nbytes is no legal length: to open, a multiple of 16
 * from KT_SEAL_MIN_NBYTES on; sealed lengths end 4 KiB below 4 GiB), KT_E_UNAUTHENTIC (the tag differs, or
 * padding that no sealer writes), or KT_E_KEY (keys[key] is NULL; the message is passed over). */
struct kt_msg {
    uint32_t in, in_nbytes, out, out_nbytes, key;
    uint16_t aad_nbytes;
    uint8_t mode, status;
};

/* in and out are disjoint. Regions of different messages in `out` (their AAD included) are disjoint too. All
 * offsets plus lengths lie inside the arenas' sizes; a batch that breaks this is refused as a whole. */
struct kt_batch {
    const uint8_t *in;
    size_t in_nbytes;
    uint8_t *out;
    size_t out_nbytes;
    const struct kt_key *const *keys;
    size_t keys_count;
    struct kt_msg *msgs;
    size_t msgs_count;
};

struct kt_engine;

/* Opens an engine. backend: "auto" or NULL (the fastest usable one), or a name of kt_engine_backends(). The
 * environment is not read here: the program passes KEYTURN_BACKEND and KEYTURN_CPU_DISABLE on. cpu_disable:
 * NULL, or a comma-separated list of CPU features to be treated as absent ("vaes,avx512f"). The chosen
 * backend has passed its known-answer test; one that failed it is logged and not used. KT_OK, KT_E_USAGE
 * (unknown or unusable name), KT_E_NOMEM, KT_E_INTERNAL (no backend passes). */
struct kt_engine_options {
    const char *backend, *cpu_disable;
    const struct kt_log *log;
};
KT_API KT_MUST_USE enum kt_status
kt_engine_open(struct kt_engine **engine, const struct kt_engine_options *options, struct kt_error *err);
/* Wipes scratch memory. NULL is accepted. */
KT_API void kt_engine_close(struct kt_engine *engine);

/* The chosen backend's name ("scalar"); lives as long as the program. */
KT_API const char *kt_engine_backend(const struct kt_engine *engine);

/* What this build has, fastest first: name, and NULL or the reason why this machine cannot use it. Returns
 * the number of backends; i counts from 0. */
KT_API size_t kt_engine_backends(size_t i, const char **name, const char **why_not);

/* Prepares n keys. deks: n times KT_DEK_NBYTES, back to back. keys[i]: KT_KEY_NBYTES each, aligned to
 * KT_KEY_ALIGN. Never fails. */
KT_API void kt_keys_prepare(struct kt_engine *engine, const uint8_t *deks, struct kt_key *const *keys,
                            size_t n);

/* Seal or open every message of a batch. Synchronous, no allocation in the steady state.
 * KT_OK: all messages are KT_OK. KT_E_ITEM: at least one is not; a failed message's output is never written
 * (when opening, the tag is checked first). KT_E_USAGE: an offset or length leaves its arena, an AAD is too
 * long or reaches before it, or a mode is unknown; nothing was done. KT_E_NOMEM, KT_E_DEVICE, and
 * KT_E_INTERNAL (the system's random source failed): nothing can be said about the output. */
KT_API KT_MUST_USE enum kt_status kt_seal(struct kt_engine *engine, const struct kt_batch *batch);
KT_API KT_MUST_USE enum kt_status kt_open(struct kt_engine *engine, const struct kt_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
