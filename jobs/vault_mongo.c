/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/vault_mongo.h"

#include <stdlib.h>

/* The key table asks one question at a time. */
#define CLIENTS 4

struct kt_vault_mongo {
    struct kt_mongo *mongo;
    bool own;
    const char *ns;
};

enum kt_status kt_vault_mongo_open(struct kt_vault_mongo **out, const char *uri, struct kt_mongo *other,
                                   const char *ns, const struct kt_log *log, struct kt_error *err)
{
    struct kt_vault_mongo *vault = calloc(1, sizeof *vault);
    *out = vault;
    if (!vault)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    *vault = (struct kt_vault_mongo){.mongo = other, .own = uri != NULL, .ns = ns};
    return uri ? kt_mongo_open(&vault->mongo, uri, "--key-vault", CLIENTS, log, err) : KT_OK;
}

void kt_vault_mongo_close(struct kt_vault_mongo *vault)
{
    if (vault && vault->own)
        kt_mongo_close(vault->mongo);
    free(vault);
}

struct kt_mongo *kt_vault_mongo_server(const struct kt_vault_mongo *vault)
{
    return vault->mongo;
}

/* Keys that one find asks for. */
#define ASK_MAX 1000

struct finding {
    void (*found)(void *arg, const struct kt_key_doc *key);
    void *arg;
    const char *ns;
};

static enum kt_status take_key(void *context, const bson_t *doc, struct kt_error *err)
{
    struct finding *finding = context;
    struct kt_key_doc key;
    struct kt_error why;
    enum kt_status status = kt_key_doc_parse(kt_span_of(bson_get_data(doc), doc->len), &key, &why);
    if (status != KT_OK)
        return kt_fail(err, status, "%s: %s", finding->ns, why.message);
    finding->found(finding->arg, &key);
    return KT_OK;
}

/* {"$or": [{_id: {$in: [...]}}, {keyAltNames: {$in: [...]}}]}, each where there are such queries. */
static bool append_in(bson_t *list, const char *number, const char *field, const struct kt_key_query *queries,
                      size_t count, bool by_id)
{
    bson_t item, in, values;
    bool ok = BSON_APPEND_DOCUMENT_BEGIN(list, number, &item) &&
              BSON_APPEND_DOCUMENT_BEGIN(&item, field, &in) && BSON_APPEND_ARRAY_BEGIN(&in, "$in", &values);
    uint32_t n = 0;
    for (size_t i = 0; ok && i < count; i++) {
        char text[16];
        const char *key;
        if ((queries[i].id != NULL) != by_id)
            continue;
        size_t key_nbytes = bson_uint32_to_string(n++, &key, text, sizeof text);
        if (by_id)
            ok = bson_append_binary(&values, key, (int)key_nbytes, BSON_SUBTYPE_UUID, queries[i].id, 16);
        else
            ok = bson_append_utf8(&values, key, (int)key_nbytes, (const char *)queries[i].name.data,
                                  (int)queries[i].name.nbytes);
    }
    return ok && bson_append_array_end(&in, &values) && bson_append_document_end(&item, &in) &&
           bson_append_document_end(list, &item);
}

static enum kt_status ask(struct kt_vault_mongo *vault, const struct kt_key_query *queries, size_t count,
                          struct finding *finding, struct kt_error *err)
{
    bson_t filter = BSON_INITIALIZER, list;
    bool ok = BSON_APPEND_ARRAY_BEGIN(&filter, "$or", &list) &&
              append_in(&list, "0", "_id", queries, count, true) &&
              append_in(&list, "1", "keyAltNames", queries, count, false) &&
              bson_append_array_end(&filter, &list);
    enum kt_status status = ok ? kt_mongo_each(vault->mongo, vault->ns, &filter, NULL, take_key, finding, err)
                               : kt_fail(err, KT_E_NOMEM, "memory ran out");
    bson_destroy(&filter);
    return status;
}

static enum kt_status find(void *context, const struct kt_key_query *queries, size_t count,
                           void (*found)(void *arg, const struct kt_key_doc *key), void *arg,
                           struct kt_error *err)
{
    struct kt_vault_mongo *vault = context;
    struct finding finding = {found, arg, vault->ns};
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < count && status == KT_OK; i += ASK_MAX)
        status = ask(vault, queries + i, count - i < ASK_MAX ? count - i : ASK_MAX, &finding, err);
    return status;
}

struct kt_key_source kt_vault_mongo_source(struct kt_vault_mongo *vault)
{
    return (struct kt_key_source){.context = vault, .find = find};
}
