/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/csfle/csfle_support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/shared.h"

const char *const kt_dump_files[] = {
    "vectors/bson-dumps/bsondump/all_in_one_doc.bson",
    "vectors/bson-dumps/bsondump/all_types.bson",
    "vectors/bson-dumps/bsondump/deep_nested.bson",
    "vectors/bson-dumps/bsondump/sample.bson",
    "vectors/bson-dumps/mongodump/importCollection.bson",
    "vectors/bson-dumps/mongorestore/indextestdump/indextest/test_collection.bson",
    "vectors/bson-dumps/mongorestore/ts_dump/timeseries_test/system.buckets.foo_ts.bson",
    "vectors/bson-dumps/mongorestore/usersdump/admin/system.users.bson",
    "vectors/csfle-corpus/bson/corpus-encrypted-half.bson",
    "vectors/csfle-corpus/bson/corpus-half.bson",
    "vectors/csfle-corpus/bson/keyvault.datakeys.bson",
    NULL,
};

uint8_t *kt_exact(const void *data, size_t nbytes)
{
    uint8_t *copy = malloc(nbytes ? nbytes : 1);
    cr_assert_not_null(copy);
    if (nbytes)
        memcpy(copy, data, nbytes);
    return copy;
}

bson_t *kt_json(const char *text)
{
    char *json = strdup(text);
    for (char *p = json; *p; p++)
        if (*p == '\'')
            *p = '"';
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
    cr_assert_not_null(doc, "%s: %s", json, error.message);
    free(json);
    return doc;
}

bool kt_next_doc(const uint8_t *data, size_t nbytes, size_t *at, struct kt_span *doc)
{
    if (*at == nbytes)
        return false;
    cr_assert_leq(*at + 4, nbytes);
    uint32_t n = kt_load_le32(data + *at);
    cr_assert_leq(*at + n, nbytes);
    *doc = kt_span_of(data + *at, n);
    *at += n;
    return true;
}

static void visit_case(const bson_iter_t *entry, const char *field,
                       void (*visit)(const char *description, struct kt_span bson, void *context),
                       void *context, size_t *count)
{
    bson_iter_t hex, description;
    cr_assert(bson_iter_recurse(entry, &hex));
    description = hex;
    if (!bson_iter_find(&hex, field))
        return;
    const char *text = bson_iter_utf8(&hex, NULL);
    size_t room = strlen(text) / 2 + 1;
    uint8_t *bytes = malloc(room);
    size_t n = kt_unhex(text, bytes, room);
    cr_assert_neq(n, SIZE_MAX);
    uint8_t *exact = kt_exact(bytes, n);
    cr_assert(bson_iter_find(&description, "description"));
    visit(bson_iter_utf8(&description, NULL), kt_span_of(exact, n), context);
    free(exact);
    free(bytes);
    (*count)++;
}

size_t kt_each_corpus_case(const char *list, const char *field,
                           void (*visit)(const char *description, struct kt_span bson, void *context),
                           void *context)
{
    size_t count = 0;
    DIR *folder = opendir(kt_shared_path("vectors/bson-corpus"));
    cr_assert_not_null(folder);
    for (struct dirent *file; (file = readdir(folder));) {
        if (file->d_name[0] == '.')
            continue;
        char relative[512];
        snprintf(relative, sizeof relative, "vectors/bson-corpus/%s", file->d_name);
        bson_t *doc = kt_shared_json(relative);
        cr_assert_not_null(doc);
        bson_iter_t iter, entry;
        if (bson_iter_init_find(&iter, doc, list)) {
            cr_assert(bson_iter_recurse(&iter, &entry));
            while (bson_iter_next(&entry))
                visit_case(&entry, field, visit, context, &count);
        }
        bson_destroy(doc);
    }
    closedir(folder);
    return count;
}

struct kt_schema_map *kt_compile_json(const char *schema)
{
    bson_t *doc = kt_json(schema), map = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&map, "db.c", doc);
    struct kt_schema_map *compiled;
    struct kt_error err = {0};
    enum kt_status status = kt_schema_map_new(&compiled, kt_bson_span(&map), "test", &err);
    cr_assert_eq(status, KT_OK, "%s", err.message);
    bson_destroy(&map);
    bson_destroy(doc);
    return compiled;
}

uint64_t kt_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}
