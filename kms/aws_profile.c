/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws_profile.h"

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct kt_span trim(struct kt_span s)
{
    while (s.nbytes && blank(s.data[0]))
        s = kt_span_of(s.data + 1, s.nbytes - 1);
    while (s.nbytes && blank(s.data[s.nbytes - 1]))
        s.nbytes--;
    return s;
}

static struct kt_span take_line(struct kt_span *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->nbytes);
    size_t n = end ? (size_t)(end - text->data) : text->nbytes;
    struct kt_span line = kt_span_of(text->data, n);
    size_t skip = end ? n + 1 : n;
    *text = kt_span_of(text->data + skip, text->nbytes - skip);
    return line;
}

static bool is_section(struct kt_span line, const char *section)
{
    const uint8_t *end = memchr(line.data, ']', line.nbytes);
    if (!end)
        return false;
    struct kt_span name = trim(kt_span_of(line.data + 1, (size_t)(end - line.data) - 1));
    return kt_span_equal(name, kt_span_str(section));
}

bool kt_ini_has(struct kt_span text, const char *section)
{
    while (text.nbytes) {
        struct kt_span line = trim(take_line(&text));
        if (line.nbytes && line.data[0] == '[' && is_section(line, section))
            return true;
    }
    return false;
}

static struct kt_span without_comment(struct kt_span value)
{
    for (size_t i = 1; i < value.nbytes; i++)
        if ((value.data[i] == '#' || value.data[i] == ';') && blank(value.data[i - 1]))
            return trim(kt_span_of(value.data, i));
    return value;
}

bool kt_ini_get(struct kt_span text, const char *section, const char *key, struct kt_span *value)
{
    bool inside = false, found = false;
    while (text.nbytes) {
        struct kt_span raw = take_line(&text), line = trim(raw);
        if (line.nbytes == 0 || line.data[0] == '#' || line.data[0] == ';')
            continue;
        if (line.data[0] == '[') {
            inside = is_section(line, section);
            continue;
        }
        /* Indented lines are settings of a nested kind, for services that are not ours. */
        const uint8_t *equals = memchr(line.data, '=', line.nbytes);
        if (!inside || !equals || blank(raw.data[0]))
            continue;
        size_t n = (size_t)(equals - line.data);
        if (!kt_span_equal(trim(kt_span_of(line.data, n)), kt_span_str(key)))
            continue;
        *value = without_comment(trim(kt_span_of(equals + 1, line.nbytes - n - 1)));
        found = value->nbytes > 0;
    }
    return found;
}
