/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/key_commands.h"

void kt_key_ids_append(bson_t *ids, uint32_t n, const uint8_t id[16])
{
    char number[16];
    const char *name;
    bson_uint32_to_string(n, &name, number, sizeof number);
    BSON_APPEND_BINARY(ids, name, BSON_SUBTYPE_UUID, id, 16);
}

void kt_key_find_fill(bson_t *command, const char *coll, const bson_t *ids, uint32_t count)
{
    bson_t filter, id, projection, sort;
    BSON_APPEND_UTF8(command, "find", coll);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
    BSON_APPEND_ARRAY(&id, "$in", ids);
    bson_append_document_end(&filter, &id);
    bson_append_document_end(command, &filter);
    BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &projection);
    BSON_APPEND_INT32(&projection, "keyAltNames", 0);
    bson_append_document_end(command, &projection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "sort", &sort);
    BSON_APPEND_INT32(&sort, "_id", 1);
    bson_append_document_end(command, &sort);
    BSON_APPEND_INT32(command, "batchSize", (int32_t)count + 1);
}

void kt_key_updates_append(bson_t *updates, uint32_t n, const uint8_t id[16], struct kt_span key_material,
                           struct kt_span master_key, const int64_t *update_ms)
{
    bson_t item, q, u, part, master;
    char number[16];
    const char *name;
    bson_uint32_to_string(n, &name, number, sizeof number);
    BSON_APPEND_DOCUMENT_BEGIN(updates, name, &item);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "q", &q);
    BSON_APPEND_BINARY(&q, "_id", BSON_SUBTYPE_UUID, id, 16);
    bson_append_document_end(&item, &q);
    BSON_APPEND_DOCUMENT_BEGIN(&item, "u", &u);
    BSON_APPEND_DOCUMENT_BEGIN(&u, "$set", &part);
    if (bson_init_static(&master, master_key.data, master_key.nbytes))
        BSON_APPEND_DOCUMENT(&part, "masterKey", &master);
    BSON_APPEND_BINARY(&part, "keyMaterial", BSON_SUBTYPE_BINARY, key_material.data,
                       (uint32_t)key_material.nbytes);
    if (update_ms)
        BSON_APPEND_DATE_TIME(&part, "updateDate", *update_ms);
    bson_append_document_end(&u, &part);
    if (!update_ms) {
        BSON_APPEND_DOCUMENT_BEGIN(&u, "$currentDate", &part);
        BSON_APPEND_BOOL(&part, "updateDate", true);
        bson_append_document_end(&u, &part);
    }
    bson_append_document_end(&item, &u);
    bson_append_document_end(updates, &item);
}
