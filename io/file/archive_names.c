/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/archive_names.h"

#include <stdlib.h>

#include "io/file/crc64.h"

#define BUCKETS "system.buckets."

static uint64_t hash(const char *db, const char *collection)
{
    return kt_crc64(kt_crc64(0, db, strlen(db) + 1), collection, strlen(collection));
}

/* The slot of these names: their own, or the free one where they belong. nslots is a power of two. */
static uint32_t *slot_of(const struct kt_archive_names *names, const struct kt_entry_table *entries,
                         const char *db, const char *collection)
{
    size_t i = hash(db, collection) & (names->nslots - 1);
    for (;; i = (i + 1) & (names->nslots - 1)) {
        if (names->slots[i] == 0)
            return &names->slots[i];
        const struct kt_file_entry *e = kt_entries_at(entries, names->slots[i] - 1);
        if (strcmp(e->collection, collection) == 0 && strcmp(e->db, db) == 0)
            return &names->slots[i];
    }
}

static enum kt_status grow(struct kt_archive_names *names, const struct kt_entry_table *entries)
{
    struct kt_archive_names wider = {.nslots = names->nslots ? names->nslots * 2 : 64, .nused = names->nused};
    wider.slots = calloc(wider.nslots, sizeof *wider.slots);
    if (!wider.slots)
        return KT_E_NOMEM;
    for (size_t i = 0; i < names->nslots; i++) {
        if (names->slots[i] == 0)
            continue;
        const struct kt_file_entry *e = kt_entries_at(entries, names->slots[i] - 1);
        *slot_of(&wider, entries, e->db, e->collection) = names->slots[i];
    }
    free(names->slots);
    *names = wider;
    return KT_OK;
}

static enum kt_status add(struct kt_entry_table *entries, const char *db, const char *collection,
                          enum kt_codec codec)
{
    if (kt_entries_count(entries) == KT_ENTRIES_MAX)
        return KT_E_LIMIT;
    struct kt_file_entry *e = kt_entries_add(entries);
    if (!e)
        return KT_E_NOMEM;
    e->db = strdup(db);
    e->collection = strdup(collection);
    e->ns = kt_ns_join(db, collection);
    if (!e->db || !e->collection || !e->ns)
        return KT_E_NOMEM;
    e->has_docs = true;
    e->shown.named = KT_NAMED_BY_STORE;
    e->shown.codec = codec;
    e->shown.is_oplog = *db == 0 && strcmp(collection, "oplog") == 0;
    kt_entries_show(entries);
    return KT_OK;
}

enum kt_status kt_archive_entry(struct kt_archive_names *names, struct kt_entry_table *entries,
                                const char *db, const char *collection, enum kt_codec codec, uint32_t *entry)
{
    enum kt_status status;
    if (names->nused * 2 >= names->nslots && (status = grow(names, entries)) != KT_OK)
        return status;
    uint32_t *slot = slot_of(names, entries, db, collection);
    if (*slot == 0) {
        status = add(entries, db, collection, codec);
        if (status != KT_OK)
            return status;
        *slot = kt_entries_count(entries);
        names->nused++;
    }
    *entry = *slot - 1;
    return KT_OK;
}

bool kt_archive_find_buckets(const struct kt_archive_names *names, const struct kt_entry_table *entries,
                             const struct kt_file_entry *series, uint32_t *entry)
{
    char *buckets = NULL;
    if (names->nslots == 0 || asprintf(&buckets, BUCKETS "%s", series->collection) < 0)
        return false;
    uint32_t found = *slot_of(names, entries, series->db, buckets);
    free(buckets);
    *entry = found - 1;
    return found > 0;
}

void kt_archive_names_free(struct kt_archive_names *names)
{
    free(names->slots);
    *names = (struct kt_archive_names){0};
}
