/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the sequence that begins with a byte above 0x7f; 0 when it is none. */
static size_t sequence_nbytes(const uint8_t *p, size_t available)
{
    uint8_t lead = p[0];
    if (lead >= 0xc0 && lead <= 0xdf) {
        if (available < 2 || !continues(p[1]))
            return 0;
        return lead >= 0xc2 || (lead == 0xc0 && p[1] == 0x80) ? 2 : 0;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        if (available < 3 || !continues(p[1]) || !continues(p[2]))
            return 0;
        bool overlong = lead == 0xe0 && p[1] < 0xa0;
        bool surrogate = lead == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (available < 4 || !continues(p[1]) || !continues(p[2]) || !continues(p[3]))
            return 0;
        bool overlong = lead == 0xf0 && p[1] < 0x90;
        bool beyond = lead == 0xf4 && p[1] >= 0x90; /* U+10FFFF is the last */
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

bool kt_utf8_ok(const uint8_t *text, size_t nbytes)
{
    size_t i = 0;
    while (i < nbytes) {
        uint64_t word;
        if (nbytes - i >= sizeof word) {
            memcpy(&word, text + i, sizeof word);
            if ((word & HIGH_BITS) == 0) {
                i += sizeof word;
                continue;
            }
        }
        if (text[i] < 0x80) {
            i++;
            continue;
        }
        size_t n = sequence_nbytes(text + i, nbytes - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
