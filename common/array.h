/* SPDX-License-Identifier: Apache-2.0 */
/* Growing arrays on the heap. */
#ifndef KT_COMMON_ARRAY_H
#define KT_COMMON_ARRAY_H

#include <stddef.h>

#include "keyturn/status.h"

/* Makes an array hold `count` items at least, at least doubling it when it must grow. array: the address of
 * the pointer to its items (NULL when it is empty). Not for secrets: old memory is not wiped. KT_OK, or
 * KT_E_NOMEM (then nothing changed). */
KT_MUST_USE enum kt_status kt_array_reserve(void *array, size_t *capacity, size_t count, size_t item_nbytes);

#endif
