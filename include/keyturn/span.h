/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYTURN_SPAN_H
#define KEYTURN_SPAN_H

#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes: whoever hands one out says how long they live. data may be NULL when nbytes is 0. */
struct kt_span {
    const uint8_t *data;
    size_t nbytes;
};

#endif
