/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/counts.h"

#include <stdlib.h>
#include <string.h>

/* Every figure that is added up, by the name that it has in a checkpoint. */
#define NS_FIGURES(X)                                                                                        \
    X(documents)                                                                                             \
    X(changed) X(values) X(already) X(left) X(failed) X(nbytes_in) X(nbytes_out)
#define KEY_FIGURES(X) X(read) X(matched) X(rewrapped) X(sampled) X(proven) X(failed)
#define PATH_FIGURES(X)                                                                                      \
    X(authentic) X(plaintext) X(wrong_key) X(wrong_algorithm) X(wrong_type) X(unauthentic) X(no_key)

enum kt_status kt_counts_init(struct kt_counts *counts, size_t paths_count)
{
    *counts = (struct kt_counts){.paths_count = paths_count};
    counts->paths = calloc(paths_count ? paths_count : 1, sizeof *counts->paths);
    return counts->paths ? KT_OK : KT_E_NOMEM;
}

void kt_counts_free(struct kt_counts *counts)
{
    free(counts->paths);
    *counts = (struct kt_counts){0};
}

void kt_counts_clear(struct kt_counts *counts)
{
    memset(&counts->ns, 0, sizeof counts->ns);
    memset(&counts->keys, 0, sizeof counts->keys);
    memset(counts->paths, 0, counts->paths_count * sizeof *counts->paths);
}

void kt_counts_add(struct kt_counts *into, const struct kt_counts *more)
{
#define X(figure) into->ns.figure += more->ns.figure;
    NS_FIGURES(X)
#undef X
#define X(figure) into->keys.figure += more->keys.figure;
    KEY_FIGURES(X)
#undef X
    if (more->ns.largest_nbytes_out > into->ns.largest_nbytes_out)
        into->ns.largest_nbytes_out = more->ns.largest_nbytes_out;
    for (size_t i = 0; i < into->paths_count && i < more->paths_count; i++) {
#define X(figure) into->paths[i].figure += more->paths[i].figure;
        PATH_FIGURES(X)
#undef X
    }
}

static bool save_paths(const struct kt_counts *counts, bson_t *out)
{
    bson_t paths;
    if (!BSON_APPEND_ARRAY_BEGIN(out, "paths", &paths))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < counts->paths_count; i++) {
        char number[16];
        const char *key;
        bson_t path;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        ok = BSON_APPEND_DOCUMENT_BEGIN(&paths, key, &path);
#define X(figure) ok = ok && BSON_APPEND_INT64(&path, #figure, (int64_t)counts->paths[i].figure);
        PATH_FIGURES(X)
#undef X
        ok = ok && bson_append_document_end(&paths, &path);
    }
    return bson_append_array_end(out, &paths) && ok;
}

bool kt_counts_save(const struct kt_counts *counts, bson_t *out)
{
    bson_t ns, keys;
    bool ok = BSON_APPEND_DOCUMENT_BEGIN(out, "ns", &ns);
#define X(figure) ok = ok && BSON_APPEND_INT64(&ns, #figure, (int64_t)counts->ns.figure);
    NS_FIGURES(X)
    X(largest_nbytes_out)
#undef X
    ok = ok && bson_append_document_end(out, &ns) && BSON_APPEND_DOCUMENT_BEGIN(out, "keys", &keys);
#define X(figure) ok = ok && BSON_APPEND_INT64(&keys, #figure, (int64_t)counts->keys.figure);
    KEY_FIGURES(X)
#undef X
    return ok && bson_append_document_end(out, &keys) && save_paths(counts, out);
}

static bool load_figure(const bson_t *doc, const char *dotted, uint64_t *figure)
{
    bson_iter_t iter, at;
    if (!bson_iter_init(&iter, doc) || !bson_iter_find_descendant(&iter, dotted, &at) ||
        !BSON_ITER_HOLDS_INT64(&at) || bson_iter_int64(&at) < 0)
        return false;
    *figure = (uint64_t)bson_iter_int64(&at);
    return true;
}

static bool load_path(const bson_t *doc, size_t i, struct kt_path_counts *path)
{
    char dotted[64];
    bool ok = true;
#define X(figure)                                                                                            \
    snprintf(dotted, sizeof dotted, "paths.%zu." #figure, i);                                                \
    ok = ok && load_figure(doc, dotted, &path->figure);
    PATH_FIGURES(X)
#undef X
    return ok;
}

bool kt_counts_load(struct kt_counts *counts, const bson_t *doc)
{
    bool ok = true;
#define X(figure) ok = ok && load_figure(doc, "ns." #figure, &counts->ns.figure);
    NS_FIGURES(X)
    X(largest_nbytes_out)
#undef X
#define X(figure) ok = ok && load_figure(doc, "keys." #figure, &counts->keys.figure);
    KEY_FIGURES(X)
#undef X
    for (size_t i = 0; ok && i < counts->paths_count; i++)
        ok = load_path(doc, i, &counts->paths[i]);
    return ok;
}
