/* SPDX-License-Identifier: Apache-2.0 */
/* Element by element through a document that kt_bson_check_value has passed; for schemas and key documents,
 * which are read with care rather than in bulk. */
#ifndef KT_CSFLE_BSON_CURSOR_H
#define KT_CSFLE_BSON_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

struct kt_cursor {
    const uint8_t *at, *stop; /* stop: the document's final NUL */
};

struct kt_element {
    const uint8_t *at; /* its type byte */
    uint8_t type;
    struct kt_span name; /* without the NUL */
    struct kt_span value;
};

struct kt_cursor kt_cursor_of(struct kt_span document);
bool kt_cursor_next(struct kt_cursor *cursor, struct kt_element *element);

/* First element of that name. */
bool kt_bson_find(struct kt_span document, const char *name, struct kt_element *element);

/* The bytes of a string value without its length and NUL; false when it is no string. */
bool kt_element_string(const struct kt_element *element, struct kt_span *text);
bool kt_element_is(const struct kt_element *element, const char *name);

#endif
