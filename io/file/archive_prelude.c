/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/archive_prelude.h"

#include <inttypes.h>
#include <stdlib.h>

#include "io/file/names.h"

#define PRELUDE_MAX_NBYTES ((size_t)256 << 20) /* 100,000 collections take about 50 MB */
#define VERSION "0.1"

struct listing {
    const char *db, *collection, *metadata, *type, *version;
};

/* A text without a NUL inside it, or NULL. */
static const char *text(const bson_iter_t *iter)
{
    uint32_t n;
    const char *s = BSON_ITER_HOLDS_UTF8(iter) ? bson_iter_utf8(iter, &n) : NULL;
    return s && strlen(s) == n ? s : NULL;
}

static bool parse_listing(struct listing *l, struct kt_span bytes)
{
    bson_t doc;
    bson_iter_t iter;
    *l = (struct listing){0};
    if (!bson_init_static(&doc, bytes.data, bytes.nbytes) || !bson_iter_init(&iter, &doc))
        return false;
    while (bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        if (strcmp(key, "db") == 0)
            l->db = text(&iter);
        else if (strcmp(key, "collection") == 0)
            l->collection = text(&iter);
        else if (strcmp(key, "metadata") == 0)
            l->metadata = text(&iter);
        else if (strcmp(key, "type") == 0)
            l->type = text(&iter);
        else if (strcmp(key, "version") == 0)
            l->version = text(&iter);
    }
    return iter.err_off == 0;
}

bool kt_archive_header_parse(struct kt_archive_header *h, struct kt_span bytes)
{
    bson_t doc;
    bson_iter_t iter;
    *h = (struct kt_archive_header){0};
    if (!bson_init_static(&doc, bytes.data, bytes.nbytes) || !bson_iter_init(&iter, &doc))
        return false;
    while (bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        if (strcmp(key, "db") == 0)
            h->db = text(&iter);
        else if (strcmp(key, "collection") == 0)
            h->collection = text(&iter);
        else if (strcmp(key, "EOF") == 0 && BSON_ITER_HOLDS_BOOL(&iter))
            h->eof = bson_iter_bool(&iter);
        else if (strcmp(key, "CRC") == 0 && BSON_ITER_HOLDS_INT64(&iter)) {
            h->crc = bson_iter_int64(&iter);
            h->has_crc = true;
        }
    }
    return iter.err_off == 0 && h->db && h->collection && *h->collection;
}

bool kt_archive_header_append(struct kt_buf *to, const struct kt_archive_header *h)
{
    bson_t doc = BSON_INITIALIZER;
    bool ok = BSON_APPEND_UTF8(&doc, "db", h->db) && BSON_APPEND_UTF8(&doc, "collection", h->collection) &&
              BSON_APPEND_BOOL(&doc, "EOF", h->eof) && BSON_APPEND_INT64(&doc, "CRC", h->crc) &&
              kt_buf_append(to, bson_get_data(&doc), doc.len) == KT_OK;
    bson_destroy(&doc);
    return ok;
}

static enum kt_status broken(const struct kt_feed *feed, uint64_t at, const char *what, struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "%s: byte %" PRIu64 ": %s", kt_input_label(feed->in), at, what);
}

static enum kt_status add_listed(struct kt_archive_list *list, const struct kt_feed *feed, uint64_t at,
                                 struct kt_entry_table *entries, const struct listing *l,
                                 struct kt_error *err)
{
    uint32_t i;
    enum kt_status status =
        kt_archive_entry(&list->names, entries, l->db, l->collection, kt_input_codec(feed->in), &i);
    if (status == KT_E_LIMIT)
        return broken(feed, at, "too many namespaces", err);
    if (status != KT_OK)
        return kt_fail(err, status, "%s: memory ran out", kt_input_label(feed->in));
    struct kt_file_entry *entry = kt_entries_at(entries, i);
    entry->shown.is_timeseries = l->type && strcmp(l->type, "timeseries") == 0;
    entry->no_data = l->type && strcmp(l->type, "view") == 0;
    if (!l->metadata || !*l->metadata)
        return KT_OK;
    char label[512];
    snprintf(label, sizeof label, "%s: %s.%s", kt_input_label(feed->in), l->db, l->collection);
    struct kt_metadata metadata;
    status = kt_metadata_parse(&metadata, kt_span_str(l->metadata), label, err);
    if (status != KT_OK)
        return status;
    kt_entry_describe(entry, &metadata);
    kt_metadata_free(&metadata);
    return KT_OK;
}

static enum kt_status take(struct kt_archive_list *list, const struct kt_feed *feed, struct kt_span bytes,
                           struct kt_error *err)
{
    if (list->bytes.nbytes + bytes.nbytes > PRELUDE_MAX_NBYTES)
        return broken(feed, feed->at, "the list of collections is larger than 256 MiB", err);
    enum kt_status status = kt_buf_append(&list->bytes, bytes.data, bytes.nbytes);
    return status == KT_OK ? KT_OK : kt_fail(err, status, "%s: memory ran out", kt_input_label(feed->in));
}

/* One document, or the terminator behind the last (then *nbytes is 0). */
static enum kt_status read_one(struct kt_archive_list *list, struct kt_feed *feed, struct kt_region *scratch,
                               size_t *nbytes, struct kt_error *err)
{
    static const uint8_t terminator[4] = {0xff, 0xff, 0xff, 0xff};
    enum kt_feed_stop stop;
    enum kt_status status = kt_feed_docs(feed, 1, scratch, nbytes, &stop, "", err);
    if (status != KT_OK)
        return status;
    if (*nbytes == 0 && stop == KT_FEED_END)
        return broken(feed, feed->at, "the archive is cut off in its list of collections", err);
    return take(list, feed, *nbytes ? kt_span_of(scratch->data, *nbytes) : kt_span_of(terminator, 4), err);
}

static enum kt_status read_list(struct kt_archive_list *list, struct kt_feed *feed, struct kt_region *scratch,
                                struct kt_entry_table *entries, struct kt_error *err)
{
    bool first = true;
    for (;; first = false) {
        struct listing l;
        size_t nbytes;
        uint64_t at = feed->at;
        enum kt_status status = read_one(list, feed, scratch, &nbytes, err);
        if (status != KT_OK)
            return status;
        if (nbytes == 0)
            return first ? broken(feed, at, "the archive has no header", err) : KT_OK;
        bool ok = parse_listing(&l, kt_span_of(scratch->data, nbytes));
        if (first && ok && (!l.version || strcmp(l.version, VERSION) != 0))
            return broken(feed, at, "not an archive of version " VERSION, err);
        if (!ok || (!first && (!l.db || !l.collection || !*l.collection)))
            return broken(feed, at, "broken list of collections", err);
        if (!first && (status = add_listed(list, feed, at, entries, &l, err)) != KT_OK)
            return status;
    }
}

enum kt_status kt_archive_list_read(struct kt_archive_list *list, struct kt_feed *feed,
                                    struct kt_entry_table *entries, struct kt_error *err)
{
    struct kt_region scratch = {0};
    size_t nbytes;
    enum kt_feed_stop stop;
    enum kt_status status = kt_feed_bytes(feed, 4, &scratch, &nbytes, &stop, err);
    if (status == KT_OK)
        status = take(list, feed, kt_span_of(scratch.data, nbytes), err);
    feed->marks = true;
    if (status == KT_OK)
        status = read_list(list, feed, &scratch, entries, err);
    kt_region_free(&scratch);
    return status;
}

void kt_archive_list_free(struct kt_archive_list *list)
{
    kt_buf_free(&list->bytes);
    kt_archive_names_free(&list->names);
}
