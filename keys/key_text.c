/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/key_text.h"

void kt_uuid_text(const uint8_t id[16], char out[KT_UUID_TEXT_NBYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[id[i] >> 4];
        *out++ = digits[id[i] & 15];
    }
    *out = 0;
}

void kt_name_text(struct kt_span name, char *out, size_t nbytes)
{
    size_t n = name.nbytes;
    bool cut = n > nbytes - 1;
    if (cut)
        for (n = nbytes - 4; n > 0 && (name.data[n] & 0xc0) == 0x80; n--)
            ;
    for (size_t i = 0; i < n; i++)
        out[i] = name.data[i] < 0x20 || name.data[i] == 0x7f ? '?' : (char)name.data[i];
    memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
}
