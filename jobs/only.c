/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/only.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"

/* A sorted array of {ns, type, value}; found by bisection. */
struct item {
    struct kt_span ns, id;
    uint8_t type;
    atomic_bool found;
};

struct kt_only {
    struct item *items;
    size_t count, capacity;
};

static int compare_spans(struct kt_span a, struct kt_span b)
{
    if (a.nbytes != b.nbytes)
        return a.nbytes < b.nbytes ? -1 : 1;
    return a.nbytes ? memcmp(a.data, b.data, a.nbytes) : 0;
}

static int compare(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    int order = compare_spans(a->ns, b->ns);
    if (order == 0)
        order = (a->type > b->type) - (a->type < b->type);
    return order ? order : compare_spans(a->id, b->id);
}

static bool copy_span(struct kt_span *out, const void *data, size_t nbytes)
{
    uint8_t *copy = malloc(nbytes ? nbytes : 1);
    if (!copy)
        return false;
    memcpy(copy, data, nbytes);
    *out = kt_span_of(copy, nbytes);
    return true;
}

static void free_item(struct item *item)
{
    free((void *)item->ns.data);
    free((void *)item->id.data);
}

/* Where JSON cannot hold an _id, the line has {"_id": value} as BSON too. Returns its type, 0: there is none.
 */
static uint8_t id_of(const bson_t *line, struct kt_span *id)
{
    bson_iter_t iter;
    bson_subtype_t subtype;
    uint32_t nbytes;
    const uint8_t *data;
    bson_t exact;
    if (!bson_iter_init_find(&iter, line, "idBson") || !BSON_ITER_HOLDS_BINARY(&iter))
        return kt_doc_id(bson_get_data(line), 0, id);
    bson_iter_binary(&iter, &subtype, &nbytes, &data);
    return bson_init_static(&exact, data, nbytes) ? kt_doc_id(data, 0, id) : 0;
}

static enum kt_status add(struct kt_only *only, const bson_t *line)
{
    bson_iter_t iter;
    struct kt_span id;
    uint32_t nbytes;
    struct item item = {.type = id_of(line, &id)};
    if (!item.type || !bson_iter_init_find(&iter, line, "ns") || !BSON_ITER_HOLDS_UTF8(&iter))
        return KT_E_CONFIG;
    const char *ns = bson_iter_utf8(&iter, &nbytes);
    if (kt_array_reserve(&only->items, &only->capacity, only->count + 1, sizeof *only->items) != KT_OK)
        return KT_E_NOMEM;
    if (!copy_span(&item.ns, ns, nbytes) || !copy_span(&item.id, id.data, id.nbytes)) {
        free_item(&item);
        return KT_E_NOMEM;
    }
    only->items[only->count++] = item;
    return KT_OK;
}

static enum kt_status read_lines(struct kt_only *only, FILE *f, const char *file, struct kt_error *err)
{
    char *text = NULL;
    size_t capacity = 0, number = 0;
    ssize_t n;
    enum kt_status status = KT_OK;
    while (status == KT_OK && (n = getline(&text, &capacity, f)) >= 0) {
        number++;
        if (strspn(text, " \t\r\n") == (size_t)n)
            continue;
        bson_t *line = bson_new_from_json((const uint8_t *)text, n, NULL);
        status = line ? add(only, line) : KT_E_CONFIG;
        bson_destroy(line);
        if (status == KT_E_CONFIG)
            kt_fail(err, status, "%s: line %zu is no document with ns and _id, as a failures file has them",
                    file, number);
        else if (status != KT_OK)
            kt_fail(err, status, "memory ran out");
    }
    if (status == KT_OK && ferror(f))
        status = kt_fail(err, KT_E_IO, "%s: %s", file, strerror(errno));
    free(text);
    return status;
}

enum kt_status kt_only_new(struct kt_only **out, const char *file, struct kt_error *err)
{
    *out = NULL;
    FILE *f = fopen(file, "re");
    if (!f)
        return kt_fail(err, KT_E_CONFIG, "%s: %s", file, strerror(errno));
    struct kt_only *only = calloc(1, sizeof *only);
    enum kt_status status =
        only ? read_lines(only, f, file, err) : kt_fail(err, KT_E_NOMEM, "memory ran out");
    fclose(f);
    if (status != KT_OK) {
        kt_only_free(only);
        return status;
    }
    if (only->count)
        qsort(only->items, only->count, sizeof *only->items, compare);
    *out = only;
    return KT_OK;
}

void kt_only_free(struct kt_only *only)
{
    if (!only)
        return;
    for (size_t i = 0; i < only->count; i++)
        free_item(&only->items[i]);
    free(only->items);
    free(only);
}

static struct item *find(const struct kt_only *only, const char *ns, const uint8_t *arena,
                         const struct kt_doc *doc)
{
    struct item want = {.ns = kt_span_str(ns)};
    want.type = kt_doc_id(arena, doc->at, &want.id);
    if (!want.type || only->count == 0)
        return NULL;
    return bsearch(&want, only->items, only->count, sizeof *only->items, compare);
}

bool kt_only_lists(const struct kt_only *only, const char *ns, const uint8_t *arena, const struct kt_doc *doc)
{
    return find(only, ns, arena, doc) != NULL;
}

bool kt_only_has(struct kt_only *only, const char *ns, const uint8_t *arena, const struct kt_doc *doc)
{
    struct item *item = find(only, ns, arena, doc);
    if (item)
        atomic_store_explicit(&item->found, true, memory_order_relaxed);
    return item != NULL;
}

void kt_only_count(const struct kt_only *only, size_t *listed, size_t *missed)
{
    *listed = *missed = 0;
    /* verify lists a document once a value: equal items count as one. */
    for (size_t i = 0, next; i < only->count; i = next) {
        bool found = false;
        for (next = i; next < only->count && compare(&only->items[i], &only->items[next]) == 0; next++)
            found |= atomic_load_explicit(&only->items[next].found, memory_order_relaxed);
        ++*listed;
        *missed += !found;
    }
}
