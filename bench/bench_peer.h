/* SPDX-License-Identifier: Apache-2.0 */
/* One implementation under measurement. The runner knows nothing else of it. */
#ifndef KT_BENCH_PEER_H
#define KT_BENCH_PEER_H

#include "bench/bench_load.h"

struct bench_peer {
    const char *name;
    bool own;                /* a backend of keyturn */
    const char *cpu_disable; /* own: features that count as absent */
    unsigned ops;            /* bits 1 << enum bench_op that it can do */
    int max_size;            /* 0: any; mixes count as 100 */
    /* Sets up for a load on the calling thread; NULL when it cannot. */
    void *(*start)(const struct bench_peer *peer, const struct bench_load *load);
    /* One pass over the load; false on any failure. */
    bool (*pass)(void *context);
    void (*stop)(void *context);
    /* "OpenSSL 3.0.17"; never NULL. */
    const char *(*version)(void);
};

#define BENCH_PEERS_MAX 16

/* The backends of this build that open with these options (the named one, or all), then the peers found when
 * this was built. */
size_t bench_peers(const struct kt_engine_options *options, struct bench_peer peers[BENCH_PEERS_MAX]);

extern const struct bench_peer bench_openssl;
#ifdef KT_BENCH_IPSEC_MB
extern const struct bench_peer bench_ipsec_mb;
#endif
#ifdef KT_BENCH_MONGOCRYPT
extern const struct bench_peer bench_mongocrypt;
#endif

/* The same operation by OpenSSL, out of line of any measurement; for expected bytes. Returns the sealed
 * length. */
size_t bench_reference_seal(const uint8_t dek[KT_DEK_NBYTES], const uint8_t *iv, const uint8_t *aad,
                            size_t aad_nbytes, const uint8_t *plain, size_t nbytes, uint8_t *sealed);
/* Returns the plaintext's length, or -1. */
long bench_reference_open(const uint8_t dek[KT_DEK_NBYTES], const uint8_t *aad, size_t aad_nbytes,
                          const uint8_t *sealed, size_t nbytes, uint8_t *plain);

#endif
