/* SPDX-License-Identifier: Apache-2.0 */
#include "common/span.h"

#include <stdlib.h>

enum kt_status kt_buf_reserve(struct kt_buf *buf, size_t more)
{
    if (more > SIZE_MAX / 2 - buf->nbytes)
        return KT_E_NOMEM;
    size_t need = buf->nbytes + more;
    if (need <= buf->capacity)
        return KT_OK;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    uint8_t *data = realloc(buf->data, capacity);
    if (!data)
        return KT_E_NOMEM;
    buf->data = data;
    buf->capacity = capacity;
    return KT_OK;
}

enum kt_status kt_buf_append(struct kt_buf *buf, const void *data, size_t nbytes)
{
    enum kt_status status = kt_buf_reserve(buf, nbytes);
    if (status != KT_OK)
        return status;
    if (nbytes)
        memcpy(buf->data + buf->nbytes, data, nbytes);
    buf->nbytes += nbytes;
    return KT_OK;
}

void kt_buf_free(struct kt_buf *buf)
{
    free(buf->data);
    *buf = (struct kt_buf){0};
}
