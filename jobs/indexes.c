/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/indexes.h"

#include <stdio.h>
#include <string.h>

bool kt_path_touches(const char *path, const char *field)
{
    size_t n = strlen(path), m = strlen(field), least = n < m ? n : m;
    return strncmp(path, field, least) == 0 &&
           (n == m || (n < m && field[n] == '.') || (m < n && path[m] == '.'));
}

struct index {
    const char *name;
    bool unique, ttl;
    bson_t key, partial, weights; /* weights: what a text index is on */
    bool has_partial, has_weights;
};

bool kt_document_at(const bson_t *doc, const char *path, bson_t *view)
{
    bson_iter_t iter, at;
    uint32_t nbytes;
    const uint8_t *data;
    if (!bson_iter_init(&iter, doc) || !bson_iter_find_descendant(&iter, path, &at))
        return false;
    if (BSON_ITER_HOLDS_DOCUMENT(&at))
        bson_iter_document(&at, &nbytes, &data);
    else if (BSON_ITER_HOLDS_ARRAY(&at))
        bson_iter_array(&at, &nbytes, &data);
    else
        return false;
    return bson_init_static(view, data, nbytes);
}

static bool read_index(const bson_t *doc, struct index *index)
{
    bson_iter_t iter;
    *index = (struct index){.name = "?"};
    if (bson_iter_init_find(&iter, doc, "name") && BSON_ITER_HOLDS_UTF8(&iter))
        index->name = bson_iter_utf8(&iter, NULL);
    index->unique = bson_iter_init_find(&iter, doc, "unique") && bson_iter_as_bool(&iter);
    index->ttl = bson_has_field(doc, "expireAfterSeconds");
    index->has_partial = kt_document_at(doc, "partialFilterExpression", &index->partial);
    index->has_weights = kt_document_at(doc, "weights", &index->weights);
    return kt_document_at(doc, "key", &index->key);
}

/* The kind of an index on a field: "2dsphere", "text"; "" for ascending, descending and hashed. */
static const char *kind_of_field(const bson_iter_t *field)
{
    const char *kind = BSON_ITER_HOLDS_UTF8(field) ? bson_iter_utf8(field, NULL) : "";
    return strcmp(kind, "hashed") == 0 ? "" : kind;
}

/* What one search carries. */
struct search {
    const struct kt_rule *rule;
    bool decrypts;
    kt_index_fn found;
    void *context;
    struct kt_error *err;
};

static KT_PRINTF(4, 5) enum kt_status report(const struct search *search, const struct index *index,
                                             enum kt_index_loss loss, const char *fmt, ...)
{
    char what[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return search->found(search->context, loss, search->rule, index->name, what, search->err);
}

/* Whether a field of an index's key, which may be a wildcard ("$**", "a.$**"), is on the path. */
static bool is_on(const char *path, const char *field)
{
    char parent[1024];
    size_t nbytes = strlen(field);
    if (nbytes < 3 || strcmp(field + nbytes - 3, "$**") != 0)
        return kt_path_touches(path, field);
    if (nbytes == 3)
        return true;
    snprintf(parent, sizeof parent, "%.*s", (int)nbytes - 4, field);
    return kt_path_touches(path, parent);
}

#define EXPIRE "documents whose date has passed are deleted once it is decrypted"

static enum kt_status search_decrypted(const struct search *search, const struct index *index)
{
    if (index->ttl)
        return report(search, index, KT_INDEX_USELESS, EXPIRE);
    if (index->unique && search->rule->algorithm == KT_RANDOM)
        return report(search, index, KT_INDEX_LESS, "where values of %s are equal, all but one will fail",
                      search->rule->path);
    return KT_OK;
}

static enum kt_status search_field(const struct search *search, const struct index *index,
                                   const bson_iter_t *field)
{
    const char *kind = kind_of_field(field), *path = search->rule->path;
    bool random = search->rule->algorithm == KT_RANDOM;
    if (strncmp(kind, "2d", 2) == 0 || strcmp(kind, "geoHaystack") == 0)
        return report(search, index, KT_INDEX_BREAKS, "a %s index cannot hold encrypted values of %s", kind,
                      path);
    if (index->ttl)
        return report(search, index, KT_INDEX_USELESS, "documents expire no longer by an encrypted date");
    if (index->unique && random)
        return report(search, index, KT_INDEX_USELESS,
                      "random encryption makes every value unique, so it keeps no duplicate out");
    if (random)
        return report(search, index, KT_INDEX_LESS, "random values of %s can't be searched; drop it", path);
    return report(search, index, KT_INDEX_LESS, "%sranges, sorting and case-insensitive matches of %s end",
                  index->unique ? "still unique; " : "", path);
}

/* Field names of a partial filter, at any depth of its operators. */
static bool filter_touches(const bson_t *filter, const char *path, int depth)
{
    bson_iter_t iter;
    if (depth > 20 || !bson_iter_init(&iter, filter))
        return false;
    while (bson_iter_next(&iter)) {
        uint32_t nbytes;
        const uint8_t *data;
        bson_t inner;
        const char *key = bson_iter_key(&iter);
        if (*key != '$' && kt_path_touches(path, key))
            return true;
        if (*key != '$' || !(BSON_ITER_HOLDS_ARRAY(&iter) || BSON_ITER_HOLDS_DOCUMENT(&iter)))
            continue;
        if (BSON_ITER_HOLDS_ARRAY(&iter))
            bson_iter_array(&iter, &nbytes, &data);
        else
            bson_iter_document(&iter, &nbytes, &data);
        bson_iter_t items;
        if (!bson_init_static(&inner, data, nbytes) || !bson_iter_init(&items, &inner))
            continue;
        while (bson_iter_next(&items)) {
            bson_t item;
            if (!BSON_ITER_HOLDS_DOCUMENT(&items))
                continue;
            bson_iter_document(&items, &nbytes, &data);
            if (bson_init_static(&item, data, nbytes) && filter_touches(&item, path, depth + 1))
                return true;
        }
    }
    return false;
}

static enum kt_status search_index(const struct search *search, const struct index *index)
{
    bson_iter_t field;
    enum kt_status status = KT_OK;
    if (!search->rule)
        return index->ttl ? report(search, index, KT_INDEX_LESS, EXPIRE) : KT_OK;
    const char *path = search->rule->path;
    if (!search->decrypts && index->has_partial && filter_touches(&index->partial, path, 0))
        status = report(search, index, KT_INDEX_USELESS,
                        "its partial filter compares values that will be encrypted");
    if (!search->decrypts && index->has_weights && bson_iter_init(&field, &index->weights)) {
        while (status == KT_OK && bson_iter_next(&field)) {
            if (is_on(path, bson_iter_key(&field)))
                status = report(search, index, KT_INDEX_USELESS, "text search finds no encrypted words");
        }
    }
    if (!bson_iter_init(&field, &index->key))
        return status;
    while (status == KT_OK && bson_iter_next(&field)) {
        if (is_on(path, bson_iter_key(&field)))
            status = search->decrypts ? search_decrypted(search, index) : search_field(search, index, &field);
    }
    return status;
}

enum kt_status kt_indexes_search(const bson_t *indexes, const struct kt_rule *rule, bool decrypts,
                                 kt_index_fn found, void *context, struct kt_error *err)
{
    const struct search search = {rule, decrypts, found, context, err};
    bson_iter_t list;
    enum kt_status status = KT_OK;
    if (!bson_iter_init(&list, indexes))
        return KT_OK;
    while (status == KT_OK && bson_iter_next(&list)) {
        uint32_t nbytes;
        const uint8_t *data;
        bson_t doc;
        struct index index;
        if (!BSON_ITER_HOLDS_DOCUMENT(&list))
            continue;
        bson_iter_document(&list, &nbytes, &data);
        if (bson_init_static(&doc, data, nbytes) && read_index(&doc, &index))
            status = search_index(&search, &index);
    }
    return status;
}
