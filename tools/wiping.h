/* SPDX-License-Identifier: Apache-2.0 */
/* Allocators that wipe on free, for OpenSSL and libbson: credentials and keys pass through both. */
#ifndef KT_TOOLS_WIPING_H
#define KT_TOOLS_WIPING_H

/* Process-wide; before any other call of OpenSSL or libbson. */
void kt_wiping_install(void);

#endif
