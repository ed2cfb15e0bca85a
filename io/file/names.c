/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/names.h"

#include <stdlib.h>

size_t kt_bson_stem(const char *name)
{
    static const char *const endings[] = {".bson", ".bson.gz", ".bson.zst"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i]);
        if (n > m && strcmp(name + n - m, endings[i]) == 0)
            return n - m;
    }
    return 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *kt_percent_decode(const char *name, size_t nbytes)
{
    char *text = malloc(nbytes + 1);
    if (!text)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < nbytes; i++) {
        int code = 0;
        if (name[i] == '%' && nbytes - i > 2 && hex(name[i + 1]) >= 0 && hex(name[i + 2]) >= 0)
            code = hex(name[i + 1]) << 4 | hex(name[i + 2]);
        if (code > 0)
            i += 2;
        text[n++] = code > 0 ? (char)code : name[i];
    }
    text[n] = 0;
    return text;
}
