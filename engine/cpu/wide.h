/* SPDX-License-Identifier: Apache-2.0 */
/* The vector backends' common body. One message cannot fill a vector unit, so up to 64 are worked on side by
 * side:
 *
 * - a window's messages are sorted by length (wide_batch.h) and taken in groups of up to 64;
 * - each message of a group gets a row, laid out as its HMAC reads it: AAD | IV | ciphertext | AL | 0x80 |
 * 0.. | length (wide_rows.h). Rows live in L1; CBC works in them in place; long messages pass through in
 * chunks;
 * - phases run over the whole group (stage, CBC, finish, inner hash, outer hash, tags), so that what one
 * phase stores has left the store queue before the next one loads it in other widths.
 *
 * A file per instruction set defines WIDE_LANES (messages per SHA-512 call) and the kernels, includes these
 * headers, and exports one table. Everything here is static: code for one instruction set never leaks into
 * another object.
 *
 * Kernels that the instruction set's headers provide:
 * - bytes_copy(to, from, n), n > 0: reads n bytes alone; may write up to 63 bytes more
 * - bytes_copy_blocks(to, from, n), n > 0 and a multiple of 16: reads and writes n bytes alone
 * - bytes_pad(to, from, n): n bytes, then PKCS#7 padding; reads n bytes alone; may write up to 79 bytes more
 * - bytes_zero(to, end): zeroes [to, end); may write up to 63 bytes more
 * - lanes_load, lanes_fill, lanes_gather, lanes_scatter, lanes_digests: words of WIDE_LANES messages, side by
 * side
 * - cbc_keys, cbc_encrypt, cbc_decrypt_rows, cbc_decrypt, aes_expand
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

#define GROUP_MAX 32  /* messages side by side while rows are short */
#define GROUP_LONG 32 /* and when they are long: rows of CHUNK bytes of them still fit L1 */
#define SHORT_NBYTES 192
#define SETS_MAX (GROUP_MAX / WIDE_LANES)

/* A row: the first message's prefix (AAD | IV, at most 271 bytes) begins at ROW_START, so that its hash reads
 * whole cache lines; data (CHUNK bytes a time) follows at the same place for the whole group; prefixes of
 * other lengths end there too. Behind the data come AL, padding and length, 152 bytes at most, and what
 * kernels write beyond. An odd number of cache lines spreads rows over L1's sets. */
#define PREFIX_MAX (KT_AAD_MAX + 16)
#define ROW_START 256
#define CHUNK 512
#define ROW_NBYTES (21 * 64)
static_assert(ROW_START + 8 >= PREFIX_MAX - 8, "the longest prefix beside the shortest first one");
static_assert(ROW_START + PREFIX_MAX + CHUNK + 152 + 64 <= ROW_NBYTES, "a row holds a chunk and its tail");

/* A phase runs over a whole group: a call costs nothing, and a profile shows where the time goes. */
#define PHASE __attribute__((noinline))

enum job { JOB_SEAL, JOB_OPEN, JOB_IV };

/* One message on its way through a group. */
struct lane {
    const struct kt_key *key;
    const uint8_t *prefix_at; /* AAD, and behind it the IV unless that is to be made */
    const uint8_t *data;      /* not yet staged */
    uint8_t *out;             /* sealing: where the next ciphertext goes */
    struct kt_msg *msg;
    uint32_t left;       /* bytes at data */
    uint16_t prefix;     /* bytes in the row before its data */
    uint16_t staged;     /* data bytes in the row now */
    uint16_t blocks;     /* SHA-512 blocks in the row now */
    bool ended;          /* the row holds the message's end, or did */
    uint64_t mac_nbytes; /* what the inner hash takes, the key's block included */
};

struct wide_sha {
    _Alignas(64) uint64_t w[16][WIDE_LANES];
    uint64_t active[WIDE_LANES]; /* blocks of each lane in this call; lanes with fewer keep their state */
};

typedef uint64_t wide_hash[8][WIDE_LANES];

struct wide_state {
    struct wide_sha sha;
    _Alignas(64) wide_hash hash[SETS_MAX];
    _Alignas(64) uint8_t round_keys[KT_AES_ROUNDS + 1][GROUP_LONG][16];
    _Alignas(64) uint8_t digests[GROUP_MAX][32];
    _Alignas(64) uint8_t rows[GROUP_MAX][ROW_NBYTES];
    struct lane lanes[GROUP_MAX];
    uint16_t order[WIDE_WINDOW], iv_order[WIDE_WINDOW], sorted[WIDE_WINDOW];
    uint8_t class[WIDE_WINDOW];
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
