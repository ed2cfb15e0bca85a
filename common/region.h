/* SPDX-License-Identifier: Apache-2.0 */
/* Large growable memory for documents: page-aligned, left out of core dumps, wiped on release. Not locked:
 * plaintext documents may be swapped like the files that they come from. */
#ifndef KT_COMMON_REGION_H
#define KT_COMMON_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "keyturn/status.h"

/* Zero-initialised is empty. data moves when the region grows. */
struct kt_region {
    uint8_t *data;
    size_t capacity;
};

/* Makes capacity >= nbytes and keeps the content. KT_OK, or KT_E_NOMEM (then nothing changed). */
KT_MUST_USE enum kt_status kt_region_reserve(struct kt_region *region, size_t nbytes);

/* Gives back what lies beyond nbytes, wiped; so that one huge document does not keep its memory for ever. */
void kt_region_trim(struct kt_region *region, size_t nbytes);
void kt_region_free(struct kt_region *region);

#endif
