/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/crc64.h"

#include <pthread.h>

#include "common/span.h"

#define POLYNOMIAL UINT64_C(0xC96C5795D7870F42) /* ECMA-182, bits reversed */
#define SLICES 8                                /* one table per byte of a 64-bit step: 16 KiB stay in L1 */

static uint64_t table[SLICES][256];

static void fill_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][i] = crc;
    }
    for (unsigned s = 1; s < SLICES; s++)
        for (unsigned i = 0; i < 256; i++)
            table[s][i] = table[s - 1][i] >> 8 ^ table[0][table[s - 1][i] & 0xff];
}

static inline uint64_t step(uint64_t x)
{
    return table[7][x & 0xff] ^ table[6][x >> 8 & 0xff] ^ table[5][x >> 16 & 0xff] ^
           table[4][x >> 24 & 0xff] ^ table[3][x >> 32 & 0xff] ^ table[2][x >> 40 & 0xff] ^
           table[1][x >> 48 & 0xff] ^ table[0][x >> 56];
}

uint64_t kt_crc64(uint64_t crc, const void *data, size_t nbytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_tables);
    const uint8_t *p = data;
    crc = ~crc;
    for (; nbytes >= 8; nbytes -= 8, p += 8)
        crc = step(crc ^ kt_load_le64(p));
    for (; nbytes > 0; nbytes--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}
