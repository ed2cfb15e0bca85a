/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for keys and credentials: locked, left out of core dumps, gone in a forked child, wiped on release.
 * One pool of at most KT_SECMEM_MAX bytes per process is opened by whoever runs jobs and is passed on. */
#ifndef KT_COMMON_SECMEM_H
#define KT_COMMON_SECMEM_H

#include <stddef.h>
#include <stdint.h>

#include "keyturn/status.h"

#define KT_SECMEM_MAX ((size_t)4 << 20)   /* all secrets of a process, however many keys there are */
#define KT_SECMEM_MIN ((size_t)256 << 10) /* below this much lockable memory no job starts */

struct kt_secmem;

/* Locks min(KT_SECMEM_MAX, what RLIMIT_MEMLOCK allows) bytes.
 * KT_OK, KT_E_CONFIG (limit below KT_SECMEM_MIN; the message says how to raise it), KT_E_NOMEM.
 * Threads: alloc and free may be called from any thread. */
KT_MUST_USE enum kt_status kt_secmem_open(struct kt_secmem **pool, struct kt_error *err);

/* Wipes and unmaps everything. NULL is accepted. */
void kt_secmem_close(struct kt_secmem *pool);

/* 64-byte aligned, zeroed; NULL when the pool is full. kt_secmem_free wipes first; NULL is accepted. */
void *kt_secmem_alloc(struct kt_secmem *pool, size_t nbytes);
void kt_secmem_free(struct kt_secmem *pool, void *p);

/* Bytes in the pool, and bytes still free (some of it in pieces). */
size_t kt_secmem_size(const struct kt_secmem *pool);
size_t kt_secmem_available(struct kt_secmem *pool);

/* A store the compiler may not leave out. */
void kt_wipe(void *p, size_t nbytes);

#endif
