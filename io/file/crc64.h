/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-64 with the ECMA-182 polynomial, reflected, inverted at both ends: what mongodump's archives carry per
 * namespace (Go's hash/crc64 with its ECMA table; also known as CRC-64/XZ). */
#ifndef KT_IO_FILE_CRC64_H
#define KT_IO_FILE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what crc (0 for nothing) stands for, followed by nbytes of data. Threads: any. */
uint64_t kt_crc64(uint64_t crc, const void *data, size_t nbytes);

#endif
