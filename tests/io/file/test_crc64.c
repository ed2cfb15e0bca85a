/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "io/file/crc64.h"

/* The check value of CRC-64/XZ in the RevEng catalogue (the CRC of "123456789"). */
Test(crc64, check_value)
{
    cr_assert_eq(kt_crc64(0, "123456789", 9), UINT64_C(0x995DC9BBDF1939FA));
    cr_assert_eq(kt_crc64(0, NULL, 0), 0u);
}

static uint64_t bit_by_bit(const uint8_t *p, size_t n)
{
    uint64_t crc = ~UINT64_C(0);
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT64_C(0xC96C5795D7870F42) : 0);
    }
    return ~crc;
}

Test(crc64, any_length_in_any_two_parts)
{
    uint8_t bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 151 + 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        uint64_t want = bit_by_bit(bytes, n);
        for (size_t cut = 0; cut <= n; cut++)
            cr_assert_eq(kt_crc64(kt_crc64(0, bytes, cut), bytes + cut, n - cut), want, "%zu of %zu", cut, n);
    }
}
