/* SPDX-License-Identifier: Apache-2.0 */
/* The vector backends' common body. One message cannot fill a vector unit, so up to 32 are worked on side by
 * side:
 *
 * - a window's messages are sorted by length (wide_batch.h) and taken in groups of up to 32;
 * - each message of a group gets a row, laid out as its HMAC reads it (wide_rows.h):
 *   AAD | IV | ciphertext | AL | 0x80 | 0.. | length;
 * - rows live in L1; CBC works in them in place; long messages pass through in chunks;
 * - phases (stage, encrypt, finish, hash, tags) run over the whole group, so that what one phase stores has
 *   left the store queue before the next one loads it in other widths.
 *
 * A file per instruction set defines WIDE_LANES (messages per SHA-512 call) and the kernels, includes these
 * headers, and exports one table. Everything here is static: code for one instruction set never leaks into
 * another object.
 *
 * Kernels that the instruction set's headers provide:
 * - bytes_copy(to, from, n), n > 0: reads n bytes alone; may write up to 63 bytes more
 * - copy_64(to, from): 64 bytes
 * - end_mark(to, low, high): the 16 bytes low | high, and zeros up to END_MARK_NBYTES
 * - bytes_copy_blocks(to, from, n), n > 0 and a multiple of 16: reads and writes n bytes alone
 * - bytes_pad(to, from, n): n bytes, then PKCS#7 padding; reads n bytes alone; may write up to 79 bytes more
 * - bytes_zero(to, end): zeroes [to, end); may write up to 63 bytes more
 * - lanes_load, lanes_fill, lanes_gather, lanes_scatter, lanes_digests: words of WIDE_LANES messages, side by
 *   side
 * - cbc_keys, cbc_encrypt, cbc_decrypt_rows, cbc_decrypt, aes_expand
 * - cbc_rows(count): so many rows, count or more, does cbc_encrypt write to
 * - wipe_vectors(): zeroes the vector registers
 * - SCALAR_LANES: so many lanes, or fewer, hash faster one by one
 * - EXPAND_LANES: keys that aes_expand takes at once */
#ifndef KT_ENGINE_CPU_WIDE_H
#define KT_ENGINE_CPU_WIDE_H

#include <stdbool.h>

#include "engine/backend.h"
#include "engine/cpu/sha512.h"

#define WIDE_WINDOW 4096
#define WIDE_CLASSES 256
#define FEW_KEYS 8 /* no more: messages of one length are sorted by key too */

/* Messages side by side: enough for two calls of SHA-512 on 16 lanes and for eight vectors of AES, few enough
 * that their rows and the arenas' lines that are asked for beforehand fit 32 KiB of L1 together. */
#define GROUP_MAX 32
#define SETS_MAX (GROUP_MAX / WIDE_LANES)

/* A row: the first message's prefix (AAD | IV, at most 271 bytes) begins at ROW_START, so that its hash reads
 * whole cache lines; data (CHUNK bytes a time) follows at the same place for the whole group; prefixes of
 * other lengths end there too. Behind the data come AL, padding and length, ROW_TAIL bytes at most with what
 * kernels write beyond. An odd number of cache lines spreads rows over L1's sets. */
#define WIDE_AAD_MAX 255
#define PREFIX_MAX (WIDE_AAD_MAX + 16)
#define ROW_START 256
#define CHUNK 512
#define ROW_TAIL (152 + 64)
#define ROW_NBYTES (21 * 64)
static_assert(ROW_START + 8 >= PREFIX_MAX - 8, "the longest prefix beside the shortest first one");
static_assert(ROW_START + PREFIX_MAX + CHUNK + ROW_TAIL <= ROW_NBYTES, "a row holds a chunk and its tail");

/* The phases are written once for all jobs and compiled once for each: which job it is costs no branch. */
#define PHASE static inline __attribute__((always_inline))

enum job { JOB_SEAL, JOB_OPEN, JOB_IV };

/* One message on its way through a group. */
struct lane {
    const struct kt_key *key;
    const uint8_t *data; /* not yet staged */
    uint8_t *out;        /* sealing: where the next ciphertext goes */
    struct kt_msg *msg;
    uint64_t mac_nbytes; /* what the inner hash takes, the key's block included */
    uint32_t left;       /* bytes at data */
    uint16_t prefix;     /* bytes in the row before its data */
    uint16_t staged;     /* data bytes in the row now */
    uint16_t blocks;     /* SHA-512 blocks in the row now */
    bool ended;          /* the row holds the message's end, or did */
};

typedef uint64_t wide_hash[8][WIDE_LANES];

struct wide_sha {
    _Alignas(64) uint64_t w[16][WIDE_LANES];
    uint64_t active[WIDE_LANES]; /* blocks of each lane in this call; lanes with fewer keep their state */
};

struct wide_state {
    struct wide_sha sha;
    _Alignas(64) wide_hash hash[SETS_MAX];
    _Alignas(64) wide_hash inner, outer; /* midstates of one set of lanes, */
    const struct kt_key *filled;         /* or of one key in all of them, and for which job */
    enum job filled_for;
    _Alignas(64) uint8_t round_keys[KT_AES_ROUNDS + 1][GROUP_MAX][16];
    _Alignas(64) uint8_t digests[GROUP_MAX][32];
    _Alignas(64) uint8_t rows[GROUP_MAX][ROW_NBYTES];
    unsigned used_rows, used_to; /* what has to be wiped of rows */
    bool aads_alike;             /* of the window: one length of AAD, */
    bool deterministic;          /* some IVs are to be made, */
    bool scattered;              /* messages are taken in another order than they came */
    struct lane lanes[GROUP_MAX];
    uint16_t order[WIDE_WINDOW], sorted[WIDE_WINDOW];
    uint16_t class[WIDE_WINDOW];
    uint16_t start[WIDE_CLASSES * FEW_KEYS + 1]; /* of each class in `sorted` */
};

static inline uint64_t big_endian(uint64_t x)
{
    return __builtin_bswap64(x);
}

static inline void store_u64(uint8_t *p, uint64_t x)
{
    memcpy(p, &x, sizeof x);
}

#endif
