/* SPDX-License-Identifier: Apache-2.0 */
/* First fit over chunks of 64 bytes; a byte map says which are taken. Most allocations are few and long-lived
 * (keys, caches, credentials); the search starts behind them, so that short-lived scratch stays cheap. */
#include "common/secmem.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define CHUNK ((size_t)64)

enum chunk_state { CHUNK_FREE, CHUNK_HEAD, CHUNK_TAIL };

struct kt_secmem {
    uint8_t *base;
    size_t nbytes, chunks;
    size_t first_free; /* no chunk before this one is free */
    pthread_mutex_t lock;
    uint8_t map[];
};

void kt_wipe(void *p, size_t nbytes)
{
    if (nbytes)
        OPENSSL_cleanse(p, nbytes);
}

static size_t lockable_nbytes(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= KT_SECMEM_MAX)
        return KT_SECMEM_MAX;
    return (size_t)limit.rlim_cur & ~(size_t)4095;
}

/* Halves the size until the kernel agrees: other locked pages of the process count against the limit too. */
static uint8_t *map_locked(size_t *nbytes)
{
    for (size_t n = *nbytes; n >= KT_SECMEM_MIN; n = (n / 2) & ~(size_t)4095) {
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        if (mlock(p, n) == 0 && madvise(p, n, MADV_DONTDUMP) == 0 && madvise(p, n, MADV_WIPEONFORK) == 0) {
            *nbytes = n;
            return p;
        }
        munmap(p, n);
    }
    *nbytes = 0;
    return NULL;
}

enum kt_status kt_secmem_open(struct kt_secmem **out, struct kt_error *err)
{
    *out = NULL;
    size_t nbytes = lockable_nbytes();
    uint8_t *base = map_locked(&nbytes);
    if (!base)
        return kt_fail(
            err, KT_E_CONFIG,
            "cannot lock %zu KiB of memory for keys; raise the limit (ulimit -l, or LimitMEMLOCK= of "
            "the systemd unit)",
            KT_SECMEM_MIN >> 10);
    size_t chunks = nbytes / CHUNK;
    struct kt_secmem *pool = calloc(1, sizeof *pool + chunks);
    if (!pool) {
        munmap(base, nbytes);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    pool->base = base;
    pool->nbytes = nbytes;
    pool->chunks = chunks;
    pthread_mutex_init(&pool->lock, NULL);
    *out = pool;
    return KT_OK;
}

void kt_secmem_close(struct kt_secmem *pool)
{
    if (!pool)
        return;
    kt_wipe(pool->base, pool->nbytes);
    munmap(pool->base, pool->nbytes);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static size_t find_free(const struct kt_secmem *pool, size_t want)
{
    size_t run = 0;
    for (size_t i = pool->first_free; i < pool->chunks; i++) {
        run = pool->map[i] == CHUNK_FREE ? run + 1 : 0;
        if (run == want)
            return i + 1 - want;
    }
    return SIZE_MAX;
}

void *kt_secmem_alloc(struct kt_secmem *pool, size_t nbytes)
{
    if (nbytes > pool->nbytes)
        return NULL;
    size_t want = nbytes ? (nbytes + CHUNK - 1) / CHUNK : 1;
    pthread_mutex_lock(&pool->lock);
    size_t at = find_free(pool, want);
    if (at != SIZE_MAX) {
        memset(pool->map + at, CHUNK_TAIL, want);
        pool->map[at] = CHUNK_HEAD;
        if (at == pool->first_free)
            pool->first_free = at + want;
    }
    pthread_mutex_unlock(&pool->lock);
    return at == SIZE_MAX ? NULL : pool->base + at * CHUNK;
}

void kt_secmem_free(struct kt_secmem *pool, void *p)
{
    if (!p)
        return;
    size_t at = (size_t)((uint8_t *)p - pool->base) / CHUNK;
    pthread_mutex_lock(&pool->lock);
    size_t end = at + 1;
    while (end < pool->chunks && pool->map[end] == CHUNK_TAIL)
        end++;
    kt_wipe(p, (end - at) * CHUNK);
    memset(pool->map + at, CHUNK_FREE, end - at);
    if (at < pool->first_free)
        pool->first_free = at;
    pthread_mutex_unlock(&pool->lock);
}

size_t kt_secmem_size(const struct kt_secmem *pool)
{
    return pool->nbytes;
}

size_t kt_secmem_available(struct kt_secmem *pool)
{
    size_t available = 0;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->chunks; i++)
        available += pool->map[i] == CHUNK_FREE ? CHUNK : 0;
    pthread_mutex_unlock(&pool->lock);
    return available;
}
