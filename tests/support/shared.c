/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *shared_root(void)
{
    const char *root = getenv("KEYTURN_SHARED");
    return root && *root ? root : KT_TEST_SHARED_DEFAULT;
}

bool kt_shared_present(void)
{
    return access(shared_root(), R_OK) == 0;
}

const char *kt_shared_path(const char *relative)
{
    static char ring[4][4096];
    static unsigned next;
    char *path = ring[next++ % 4];
    snprintf(path, sizeof ring[0], "%s/%s", shared_root(), relative);
    return path;
}

uint8_t *kt_read_file(const char *path, size_t *nbytes)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    uint8_t *data = NULL;
    size_t n = 0, capacity = 0;
    for (;;) {
        if (capacity - n < 65536) {
            capacity = capacity ? capacity * 2 : 131072;
            uint8_t *more = realloc(data, capacity + 1);
            if (!more) {
                free(data);
                fclose(f);
                return NULL;
            }
            data = more;
        }
        size_t got = fread(data + n, 1, capacity - n, f);
        if (got == 0)
            break;
        n += got;
    }
    fclose(f);
    data[n] = 0;
    *nbytes = n;
    return data;
}

bson_t *kt_shared_json(const char *relative)
{
    size_t n = 0;
    uint8_t *text = kt_read_file(kt_shared_path(relative), &n);
    if (!text)
        return NULL;
    bson_error_t error;
    bson_t *doc = bson_new_from_json(text, (ssize_t)n, &error);
    if (!doc)
        fprintf(stderr, "%s: %s\n", relative, error.message);
    free(text);
    return doc;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t kt_unhex(const char *hex, uint8_t *out, size_t capacity)
{
    size_t n = strlen(hex);
    if (n % 2 || n / 2 > capacity)
        return SIZE_MAX;
    for (size_t i = 0; i < n / 2; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return SIZE_MAX;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return n / 2;
}
