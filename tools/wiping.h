/* SPDX-License-Identifier: Apache-2.0 */
/* Allocators that wipe on free, for OpenSSL and libbson: credentials and keys pass through both. */
#ifndef KT_TOOLS_WIPING_H
#define KT_TOOLS_WIPING_H

#include <stddef.h>

/* Process-wide; before any other call of OpenSSL or libbson. */
void kt_wiping_install(void);

/* What libbson gets: the first few MiB of a process lie in memory that core dumps leave out. */
void *kt_wiping_malloc(size_t nbytes); /* NULL: memory ran out */
void kt_wiping_free(void *p);          /* wipes; NULL is accepted */

#endif
