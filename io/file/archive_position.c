/* SPDX-License-Identifier: Apache-2.0 */
/* Where an archive's reader stands, into a checkpoint and back. */
#include <stdlib.h>

#include "io/file/archive_source.h"

static bool save_names(const struct kt_archive_source *a, bson_t *position)
{
    bson_t names, pair;
    bool ok = BSON_APPEND_ARRAY_BEGIN(position, "unlisted", &names);
    for (uint32_t i = a->nlisted; ok && i < kt_entries_count(&a->base.entries); i++) {
        const struct kt_file_entry *e = kt_entries_at(&a->base.entries, i);
        ok = BSON_APPEND_DOCUMENT_BEGIN(&names, "", &pair) && BSON_APPEND_UTF8(&pair, "db", e->db) &&
             BSON_APPEND_UTF8(&pair, "collection", e->collection) && bson_append_document_end(&names, &pair);
    }
    return ok && bson_append_array_end(position, &names);
}

/* One byte of flags per entry; sums only for the few that are open. */
static bool save_states(const struct kt_archive_source *a, bson_t *position)
{
    uint32_t n = kt_entries_count(&a->base.entries);
    uint8_t *flags = malloc(n + 1);
    bson_t open, one;
    bool ok = flags && BSON_APPEND_ARRAY_BEGIN(position, "open", &open);
    for (uint32_t i = 0; ok && i < n; i++) {
        const struct kt_ns_state *s = &a->states[i];
        flags[i] = s->flags;
        if (s->flags == KT_NS_SEEN)
            ok = BSON_APPEND_DOCUMENT_BEGIN(&open, "", &one) && BSON_APPEND_INT64(&one, "entry", i) &&
                 BSON_APPEND_INT64(&one, "bytes", (int64_t)s->nbytes) &&
                 BSON_APPEND_INT64(&one, "crc", (int64_t)s->crc) && bson_append_document_end(&open, &one);
    }
    ok = ok && bson_append_array_end(position, &open) &&
         BSON_APPEND_BINARY(position, "flags", BSON_SUBTYPE_BINARY, flags, n);
    free(flags);
    return ok;
}

bool kt_archive_save(const struct kt_source *source, bson_t *position)
{
    const struct kt_archive_source *a = (const struct kt_archive_source *)source;
    return BSON_APPEND_INT64(position, "at", (int64_t)source->feed.at) &&
           BSON_APPEND_INT64(position, "current", a->current) &&
           BSON_APPEND_BOOL(position, "fresh", a->fresh) && save_names(a, position) &&
           save_states(a, position);
}

static bool find_list(bson_iter_t *position, const char *key, bson_iter_t *list)
{
    bson_iter_t start = *position, at;
    return bson_iter_recurse(&start, &at) && bson_iter_find(&at, key) && BSON_ITER_HOLDS_ARRAY(&at) &&
           bson_iter_recurse(&at, list);
}

static const char *text_of(bson_iter_t *document, const char *key)
{
    bson_iter_t at;
    return bson_iter_recurse(document, &at) && bson_iter_find(&at, key) && BSON_ITER_HOLDS_UTF8(&at)
               ? bson_iter_utf8(&at, NULL)
               : NULL;
}

static enum kt_status load_names(struct kt_archive_source *a, bson_iter_t *position, struct kt_error *err)
{
    bson_iter_t list;
    enum kt_status status = KT_OK;
    if (!find_list(position, "unlisted", &list))
        return KT_OK;
    while (status == KT_OK && bson_iter_next(&list)) {
        bson_iter_t copy = list;
        const char *db = text_of(&list, "db"), *collection = text_of(&copy, "collection");
        uint32_t entry;
        if (db && collection)
            status = kt_archive_entry_of(a, db, collection, &entry, err);
    }
    return status;
}

static bool load_states(struct kt_archive_source *a, bson_iter_t *position)
{
    bson_iter_t start = *position, at, open;
    uint32_t n = kt_entries_count(&a->base.entries), nflags;
    const uint8_t *flags;
    if (!bson_iter_recurse(&start, &at) || !bson_iter_find(&at, "flags") || !BSON_ITER_HOLDS_BINARY(&at))
        return false;
    bson_iter_binary(&at, NULL, &nflags, &flags);
    if (nflags != n || !find_list(position, "open", &open))
        return false;
    for (uint32_t i = 0; i < n; i++)
        a->states[i].flags = flags[i];
    while (bson_iter_next(&open)) {
        int64_t i = kt_position_int(&open, "entry", -1);
        if (i < 0 || i >= n)
            return false;
        a->states[i].nbytes = (uint64_t)kt_position_int(&open, "bytes", 0);
        a->states[i].crc = (uint64_t)kt_position_int(&open, "crc", 0);
    }
    return true;
}

enum kt_status kt_archive_seek(struct kt_source *source, bson_iter_t *position, struct kt_error *err)
{
    struct kt_archive_source *a = (struct kt_archive_source *)source;
    enum kt_status status = load_names(a, position, err);
    if (status != KT_OK)
        return status;
    a->current = kt_position_int(position, "current", -1);
    a->fresh = kt_position_int(position, "fresh", 0);
    uint64_t at = (uint64_t)kt_position_int(position, "at", 0);
    if (!load_states(a, position) || a->current >= kt_entries_count(&source->entries) || at < source->feed.at)
        return kt_fail(err, KT_E_OTHER_JOB, "%s: the checkpoint's position does not fit this archive",
                       source->name);
    return kt_feed_skip(&source->feed, at, err);
}
