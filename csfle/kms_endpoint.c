/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/kms_endpoint.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_byte(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
           c == '_';
}

static struct kt_span skip_scheme(struct kt_span text)
{
    const uint8_t *mark = memmem(text.data, text.nbytes, "://", 3);
    if (!mark)
        return text;
    return kt_span_of(mark + 3, text.nbytes - (size_t)(mark + 3 - text.data));
}

static const char *check_port(struct kt_span port)
{
    uint32_t number = 0;
    for (size_t i = 0; i < port.nbytes; i++) {
        if (!is_digit(port.data[i]) || i == 5)
            return "has a port that is no number from 1 to 65535";
        number = 10 * number + (uint32_t)(port.data[i] - '0');
    }
    return number < 1 || number > 65535 ? "has a port that is no number from 1 to 65535" : NULL;
}

const char *kt_endpoint_host_port(struct kt_span text, bool needs_dot, struct kt_span *host_port)
{
    if (text.nbytes == 0)
        return "is empty";
    struct kt_span rest = skip_scheme(text);
    size_t end = 0;
    while (end < rest.nbytes && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    size_t host = 0;
    while (host < end && is_host_byte(rest.data[host]))
        host++;
    if (host == 0)
        return "has no host";
    if (host < end && rest.data[host] != ':')
        return "has a host with a character that no host name has";
    if (needs_dot && !memchr(rest.data, '.', host))
        return "has no dot in its host";
    *host_port = kt_span_of(rest.data, end);
    return host < end ? check_port(kt_span_of(rest.data + host + 1, end - host - 1)) : NULL;
}
