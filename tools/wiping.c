/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/wiping.h"

#include <bson/bson.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What libbson allocates first is what the credentials are read with: it lies in pages that core dumps leave
 * out. A block is wiped when it is freed, its place is not used again; when all are taken, malloc gives. */
#define HIDDEN_NBYTES ((size_t)4 << 20)
#define HIDDEN_ALIGN ((size_t)128) /* of bson_t */

static uint8_t *hidden;
static _Atomic size_t hidden_used;

static void hidden_open(void)
{
    void *pages = mmap(NULL, HIDDEN_NBYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return;
    madvise(pages, HIDDEN_NBYTES, MADV_DONTDUMP);
    madvise(pages, HIDDEN_NBYTES, MADV_WIPEONFORK);
    hidden = pages;
}

static bool is_hidden(const void *p)
{
    return hidden && (const uint8_t *)p >= hidden && (const uint8_t *)p < hidden + HIDDEN_NBYTES;
}

/* Zeroed, HIDDEN_ALIGN aligned; its size stands right before it. NULL: no room. */
static void *hidden_malloc(size_t nbytes)
{
    if (!hidden || nbytes > HIDDEN_NBYTES / 2)
        return NULL;
    size_t whole = HIDDEN_ALIGN + (nbytes + HIDDEN_ALIGN - 1) / HIDDEN_ALIGN * HIDDEN_ALIGN;
    if (atomic_load(&hidden_used) + whole > HIDDEN_NBYTES)
        return NULL;
    size_t at = atomic_fetch_add(&hidden_used, whole);
    if (at + whole > HIDDEN_NBYTES)
        return NULL;
    uint8_t *block = hidden + at + HIDDEN_ALIGN;
    memcpy(block - sizeof nbytes, &nbytes, sizeof nbytes);
    return block;
}

static size_t usable_nbytes(void *p)
{
    size_t nbytes;
    if (!is_hidden(p))
        return malloc_usable_size(p);
    memcpy(&nbytes, (uint8_t *)p - sizeof nbytes, sizeof nbytes);
    return nbytes;
}

void kt_wiping_free(void *p)
{
    if (p)
        explicit_bzero(p, usable_nbytes(p)); /* each block that libraries free: several times faster */
    if (!is_hidden(p))
        free(p);
}

void *kt_wiping_malloc(size_t nbytes)
{
    void *p = hidden_malloc(nbytes);
    return p ? p : malloc(nbytes);
}

static void *wiping_calloc(size_t count, size_t nbytes)
{
    void *p = nbytes && count > SIZE_MAX / nbytes ? NULL : hidden_malloc(count * nbytes);
    return p ? p : calloc(count, nbytes);
}

/* realloc may move a block and leave the old bytes behind, so a growing block is copied and wiped here. */
static void *regrow(void *p, size_t nbytes, void *(*allocate)(size_t nbytes))
{
    if (!p)
        return allocate(nbytes);
    size_t old = usable_nbytes(p);
    if (nbytes > 0 && nbytes <= old && nbytes >= old / 2)
        return p;
    void *moved = allocate(nbytes);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < nbytes ? old : nbytes);
    kt_wiping_free(p);
    return moved;
}

static void *wiping_realloc(void *p, size_t nbytes)
{
    return regrow(p, nbytes, kt_wiping_malloc);
}

/* C11 wants the size to be a multiple of the alignment. */
static void *aligned_malloc(size_t alignment, size_t nbytes)
{
    void *p = alignment <= HIDDEN_ALIGN ? hidden_malloc(nbytes) : NULL;
    if (p || nbytes > SIZE_MAX - alignment)
        return p;
    return aligned_alloc(alignment, (nbytes + alignment - 1) / alignment * alignment);
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
        kt_wiping_free(p);
        return NULL;
    }
    return regrow(p, nbytes, malloc);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    kt_wiping_free(p);
}

static void *curl_realloc(void *p, size_t nbytes)
{
    return regrow(p, nbytes, malloc);
}

void kt_wiping_install(void)
{
    static const bson_mem_vtable_t vtable = {.malloc = kt_wiping_malloc,
                                             .calloc = wiping_calloc,
                                             .realloc = wiping_realloc,
                                             .free = kt_wiping_free,
                                             .aligned_alloc = aligned_malloc};
    hidden_open();
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
    bson_mem_set_vtable(&vtable);
    /* Later calls of curl_global_init only count its users. */
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, kt_wiping_free, curl_realloc, strdup, calloc);
}
