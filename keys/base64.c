/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/base64.h"

#include <openssl/evp.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* EVP_DecodeBlock takes '=' for a zero anywhere and drops what it does not know at the end, so the form is
 * checked here. */
bool kt_base64_nbytes(struct kt_span text, size_t *nbytes)
{
    size_t digits = 0, pads = 0;
    for (size_t i = 0; i < text.nbytes; i++) {
        uint8_t c = text.data[i];
        if (is_space(c))
            continue;
        if (c == '=')
            pads++;
        else if (is_digit(c) && pads == 0)
            digits++;
        else
            return false;
    }
    if (pads > 2 || (digits + pads) % 4 != 0)
        return false;
    *nbytes = digits * 3 / 4;
    return true;
}

void kt_base64_read(struct kt_span text, size_t nbytes, uint8_t *scratch, uint8_t *out)
{
    size_t chars = 0;
    for (size_t i = 0; i < text.nbytes; i++)
        if (!is_space(text.data[i]))
            scratch[chars++] = text.data[i];
    uint8_t *decoded = scratch + chars;
    EVP_DecodeBlock(decoded, scratch, (int)chars);
    memcpy(out, decoded, nbytes);
}
