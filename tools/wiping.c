/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/wiping.h"

#include <bson/bson.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/secmem.h"

static void wiping_free(void *p)
{
    if (p)
        kt_wipe(p, malloc_usable_size(p));
    free(p);
}

/* realloc may move a block and leave the old bytes behind, so a growing block is copied and wiped here. */
static void *wiping_realloc(void *p, size_t nbytes)
{
    if (!p)
        return malloc(nbytes);
    size_t old = malloc_usable_size(p);
    if (nbytes > 0 && nbytes <= old && nbytes >= old / 2)
        return p;
    void *moved = malloc(nbytes);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < nbytes ? old : nbytes);
    wiping_free(p);
    return moved;
}

/* C11 wants the size to be a multiple of the alignment. */
static void *aligned_malloc(size_t alignment, size_t nbytes)
{
    return nbytes > SIZE_MAX - alignment
               ? NULL
               : aligned_alloc(alignment, (nbytes + alignment - 1) / alignment * alignment);
}

static void *crypto_malloc(size_t nbytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(nbytes);
}

static void *crypto_realloc(void *p, size_t nbytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (nbytes == 0) {
        wiping_free(p);
        return NULL;
    }
    return wiping_realloc(p, nbytes);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    wiping_free(p);
}

void kt_wiping_install(void)
{
    static const bson_mem_vtable_t vtable = {.malloc = malloc,
                                             .calloc = calloc,
                                             .realloc = wiping_realloc,
                                             .free = wiping_free,
                                             .aligned_alloc = aligned_malloc};
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
    bson_mem_set_vtable(&vtable);
    /* Later calls of curl_global_init only count its users. */
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}
