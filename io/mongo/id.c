/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/id.h"

#include <string.h>

void kt_id_free(struct kt_id *id)
{
    kt_buf_free(&id->doc);
}

static enum kt_status set_bytes(struct kt_id *to, const void *data, size_t nbytes)
{
    to->doc.nbytes = 0;
    return kt_buf_append(&to->doc, data, nbytes);
}

enum kt_status kt_id_copy(struct kt_id *to, const struct kt_id *from)
{
    return set_bytes(to, from->doc.data, from->doc.nbytes);
}

static enum kt_status set_iter(struct kt_id *to, const bson_iter_t *value)
{
    bson_t doc = BSON_INITIALIZER;
    enum kt_status status = KT_OK;
    if (bson_append_iter(&doc, "_id", 3, value))
        status = set_bytes(to, bson_get_data(&doc), doc.len);
    bson_destroy(&doc);
    return status;
}

enum kt_status kt_id_of_doc(struct kt_id *to, const uint8_t *doc, size_t nbytes)
{
    bson_t view;
    bson_iter_t iter;
    to->doc.nbytes = 0;
    if (!bson_init_static(&view, doc, nbytes) || !bson_iter_init_find(&iter, &view, "_id"))
        return KT_OK;
    return set_iter(to, &iter);
}

bool kt_id_append(bson_t *out, const char *key, const struct kt_id *id)
{
    return bson_append_binary(out, key, -1, BSON_SUBTYPE_BINARY, id->doc.data, (uint32_t)id->doc.nbytes);
}

enum kt_status kt_id_load(struct kt_id *to, const bson_iter_t *binary)
{
    bson_subtype_t subtype;
    uint32_t nbytes;
    const uint8_t *data;
    bson_t view;
    if (!BSON_ITER_HOLDS_BINARY(binary))
        return KT_E_FORMAT;
    bson_iter_binary(binary, &subtype, &nbytes, &data);
    if (nbytes && (!bson_init_static(&view, data, nbytes) || !bson_has_field(&view, "_id")))
        return KT_E_FORMAT;
    return set_bytes(to, data, nbytes);
}

bool kt_id_append_bound(bson_t *out, const char *key, const struct kt_id *id)
{
    bson_t view;
    return bson_init_static(&view, id->doc.data, id->doc.nbytes) && BSON_APPEND_DOCUMENT(out, key, &view);
}

bool kt_id_equal(const struct kt_id *a, const struct kt_id *b)
{
    return kt_span_equal(kt_span_of(a->doc.data, a->doc.nbytes), kt_span_of(b->doc.data, b->doc.nbytes));
}

bool kt_id_is_max_key(const struct kt_id *id)
{
    return id->doc.nbytes > 4 && id->doc.data[4] == BSON_TYPE_MAXKEY;
}

bool kt_id_is_min_key(const struct kt_id *id)
{
    return id->doc.nbytes > 4 && id->doc.data[4] == (uint8_t)BSON_TYPE_MINKEY;
}
