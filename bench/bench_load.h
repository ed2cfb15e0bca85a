/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: a batch of messages with its arenas, the same for every implementation. */
#ifndef KT_BENCH_LOAD_H
#define KT_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keyturn/engine.h"

enum bench_op {
    BENCH_SEAL,        /* IVs given */
    BENCH_SEAL_RANDOM, /* IVs drawn, in bulk on every side */
    BENCH_SEAL_DETERMINISTIC,
    BENCH_OPEN,
    BENCH_REWRAP,    /* DEKs: unwrap under one local master key, wrap under another, IVs drawn */
    BENCH_SEAL_KEYS, /* a new DEK for every message: prepare and seal */
    BENCH_OPS
};

const char *bench_op_name(enum bench_op op);

/* sizes that are no single number */
#define BENCH_MIX_8_100 (-1) /* 8 to 100 bytes, each as likely */
/* names, addresses, dates, accounts, e-mail addresses of a customer collection */
#define BENCH_MIX_REAL (-2)

struct bench_load {
    enum bench_op op;
    int size;
    size_t count;
    uint64_t plain_nbytes;
    uint8_t *in, *out;
    size_t in_nbytes, out_nbytes;
    struct kt_msg *msgs; /* as for kt_seal or kt_open; REWRAP: as for opening, `out` has room for 160 each */
    uint32_t *lengths;   /* of the plaintexts */
    uint8_t (*deks)[KT_DEK_NBYTES];
    size_t keys_count;
    uint8_t *expected; /* out as OpenSSL makes it; NULL for random IVs */
    uint64_t hash_blocks,
        aes_blocks; /* SHA-512 compressions and AES blocks of one pass, keys' set-up apart */
};

/* The UUID of the key with this index, as AADs carry it. */
void bench_key_uuid(uint32_t key, uint8_t uuid[16]);

/* Random bytes, from the seed. keys: how many DEKs the messages share. NULL when memory runs out. */
struct bench_load *bench_load_new(enum bench_op op, int size, size_t count, size_t keys, uint64_t seed);
void bench_load_free(struct bench_load *load);

/* Whether an implementation left the right bytes in out: compared with expected, or opened by OpenSSL. */
bool bench_load_verify(const struct bench_load *load);

/* Spoils out where implementations write, so that a pass that does nothing shows. */
void bench_load_spoil(struct bench_load *load);

#endif
