/* SPDX-License-Identifier: Apache-2.0 */
/* Published test data, found through KEYTURN_SHARED (default: ../shared beside the checkout). */
#ifndef KT_TESTS_SUPPORT_SHARED_H
#define KT_TESTS_SUPPORT_SHARED_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when the folder is there. Tests that need it call cr_skip_test with a word when it is not; CI requires
 * it. */
bool kt_shared_present(void);

/* Full path of a file in the shared folder, in a static per-call ring of four buffers. */
const char *kt_shared_path(const char *relative);

/* Whole file, malloc'ed, with a NUL behind it; NULL when it cannot be read. */
uint8_t *kt_read_file(const char *path, size_t *nbytes);

/* A JSON file of the shared folder as a document or an array (arrays get keys "0", "1", ...); NULL when it
 * cannot be read or parsed. Free with bson_destroy. */
bson_t *kt_shared_json(const char *relative);

/* Hex to bytes; returns the number of bytes, or SIZE_MAX when it does not fit or is no hex. */
size_t kt_unhex(const char *hex, uint8_t *out, size_t capacity);

#endif
