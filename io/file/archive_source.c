/* SPDX-License-Identifier: Apache-2.0 */
/* mongodump's archive: magic, a list of collections, then segments of documents that alternate between
 * namespaces. Layout and checks follow mongo-tools common/archive/spec.md and its demultiplexer. */
#include <inttypes.h>
#include <stdlib.h>

#include "io/file/archive_names.h"
#include "io/file/archive_prelude.h"
#include "io/file/crc64.h"
#include "io/file/source.h"

enum { SEEN = 1, CLOSED = 2 };

struct ns_state {
    uint64_t nbytes, crc; /* of its documents so far */
    uint8_t flags;
};

struct archive_source {
    struct kt_source base;
    struct kt_archive_list list;
    struct ns_state *states; /* one per entry */
    uint32_t nstates, nlisted;
    int64_t current; /* entry whose segment is being read; -1 between segments */
    bool fresh;      /* its header was read, but no piece given yet */
    struct kt_region scratch;
};

static const char *who(const struct archive_source *a, uint32_t entry)
{
    const struct kt_file_entry *e = kt_entries_at(&a->base.entries, entry);
    return *e->shown.ns ? e->shown.ns : e->collection;
}

static enum kt_status broken(const struct archive_source *a, const char *ns, const char *what,
                             struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "%s%s%s: byte %" PRIu64 ": %s", kt_input_label(a->base.feed.in),
                   *ns ? ": " : "", ns, a->base.feed.at, what);
}

static enum kt_status fit_states(struct archive_source *a, struct kt_error *err)
{
    uint32_t n = kt_entries_count(&a->base.entries);
    if (n <= a->nstates)
        return KT_OK;
    uint32_t capacity = n < 16 ? 16 : n * 2;
    struct ns_state *more = realloc(a->states, capacity * sizeof *more);
    if (!more)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", a->base.name);
    memset(more + a->nstates, 0, (capacity - a->nstates) * sizeof *more);
    a->states = more;
    a->nstates = capacity;
    return KT_OK;
}

/* The header's entry, added when the list did not name it (system.buckets.* of time series are not listed).
 */
static enum kt_status entry_of(struct archive_source *a, const char *db, const char *collection,
                               uint32_t *entry, struct kt_error *err)
{
    enum kt_status status = kt_archive_entry(&a->list.names, &a->base.entries, db, collection,
                                             kt_input_codec(a->base.feed.in), entry);
    if (status == KT_E_NOMEM)
        return kt_fail(err, status, "%s: memory ran out", a->base.name);
    if (status != KT_OK)
        return broken(a, "", "too many namespaces", err);
    return fit_states(a, err);
}

static enum kt_status end_namespace(struct archive_source *a, uint32_t entry,
                                    const struct kt_archive_header *h, struct kt_error *err)
{
    struct ns_state *state = &a->states[entry];
    size_t nbytes;
    enum kt_feed_stop stop;
    const char *ns = who(a, entry);
    enum kt_status status = kt_feed_docs(&a->base.feed, 1, &a->scratch, &nbytes, &stop, ns, err);
    if (status != KT_OK)
        return status;
    if (nbytes > 0)
        return broken(a, ns, "a document where the namespace has ended", err);
    if (stop != KT_FEED_MARK)
        return broken(a, ns, "the archive is cut off", err);
    if (h->has_crc && (uint64_t)h->crc != state->crc)
        return broken(a, ns, "its documents do not have the checksum that the archive gives (CRC-64)", err);
    state->flags = SEEN | CLOSED;
    return KT_OK;
}

/* Everything that was listed must have come: an archive that is cut off between segments shows in no other
 * way. */
static enum kt_status check_complete(const struct archive_source *a, struct kt_error *err)
{
    for (uint32_t i = 0; i < kt_entries_count(&a->base.entries); i++) {
        const struct kt_file_entry *e = kt_entries_at(&a->base.entries, i);
        uint8_t flags = a->states[i].flags;
        if ((flags & SEEN) && !(flags & CLOSED))
            return broken(a, who(a, i), "the archive is cut off: this namespace has not ended", err);
        if ((flags & SEEN) || e->no_data)
            continue;
        uint32_t buckets;
        if (e->shown.is_timeseries &&
            kt_archive_find_buckets(&a->list.names, &a->base.entries, e, &buckets) &&
            (a->states[buckets].flags & SEEN))
            continue;
        return broken(a, who(a, i), "the archive is cut off: this namespace is listed and has not come", err);
    }
    return KT_OK;
}

static enum kt_status read_header(struct archive_source *a, struct kt_piece *piece, bool *at_end,
                                  struct kt_error *err)
{
    size_t nbytes;
    enum kt_feed_stop stop;
    uint64_t at = a->base.feed.at;
    enum kt_status status = kt_feed_docs(&a->base.feed, 1, &a->scratch, &nbytes, &stop, "", err);
    if (status != KT_OK)
        return status;
    if (nbytes == 0 && stop == KT_FEED_MARK)
        return broken(a, "", "a segment without a header", err);
    *at_end = nbytes == 0;
    if (*at_end)
        return check_complete(a, err);
    struct kt_archive_header h;
    uint32_t entry;
    if (!kt_archive_header_parse(&h, kt_span_of(a->scratch.data, nbytes)))
        return kt_fail(err, KT_E_FORMAT, "%s: byte %" PRIu64 ": no header of a namespace",
                       kt_input_label(a->base.feed.in), at);
    status = entry_of(a, h.db, h.collection, &entry, err);
    if (status != KT_OK)
        return status;
    struct ns_state *state = &a->states[entry];
    if (state->flags & CLOSED)
        return broken(a, who(a, entry), "goes on after its end", err);
    if (!h.eof) {
        a->current = entry;
        a->fresh = true;
        return KT_OK;
    }
    *piece = (struct kt_piece){.kind = KT_PIECE_DOCS,
                               .entry = entry,
                               .opens = !(state->flags & SEEN),
                               .closes = true,
                               .at = state->nbytes};
    return end_namespace(a, entry, &h, err);
}

static enum kt_status read_docs(struct archive_source *a, size_t want, struct kt_region *into,
                                struct kt_piece *piece, struct kt_error *err)
{
    uint32_t entry = (uint32_t)a->current;
    struct ns_state *state = &a->states[entry];
    size_t nbytes;
    enum kt_feed_stop stop;
    enum kt_status status = kt_feed_docs(&a->base.feed, want, into, &nbytes, &stop, who(a, entry), err);
    if (status != KT_OK)
        return status;
    if (stop == KT_FEED_END)
        return broken(a, who(a, entry), "the archive is cut off inside this namespace", err);
    if (stop == KT_FEED_MARK)
        a->current = -1;
    if (nbytes == 0 && !a->fresh)
        return KT_OK;
    *piece = (struct kt_piece){.kind = KT_PIECE_DOCS,
                               .entry = entry,
                               .opens = !(state->flags & SEEN),
                               .segment = a->fresh,
                               .nbytes = nbytes,
                               .at = state->nbytes};
    state->crc = kt_crc64(state->crc, into->data, nbytes);
    state->nbytes += nbytes;
    state->flags |= SEEN;
    a->fresh = false;
    return KT_OK;
}

static enum kt_status archive_next(struct kt_source *source, size_t want, struct kt_region *into,
                                   struct kt_piece *piece, struct kt_error *err)
{
    struct archive_source *a = (struct archive_source *)source;
    enum kt_status status = KT_OK;
    bool at_end = false;
    while (status == KT_OK && !at_end && piece->kind == KT_PIECE_END)
        status = a->current < 0 ? read_header(a, piece, &at_end, err) : read_docs(a, want, into, piece, err);
    return status;
}

static bool save_names(const struct archive_source *a, bson_t *position)
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
static bool save_states(const struct archive_source *a, bson_t *position)
{
    uint32_t n = kt_entries_count(&a->base.entries);
    uint8_t *flags = malloc(n + 1);
    bson_t open, one;
    bool ok = flags && BSON_APPEND_ARRAY_BEGIN(position, "open", &open);
    for (uint32_t i = 0; ok && i < n; i++) {
        const struct ns_state *s = &a->states[i];
        flags[i] = s->flags;
        if (s->flags == SEEN)
            ok = BSON_APPEND_DOCUMENT_BEGIN(&open, "", &one) && BSON_APPEND_INT64(&one, "entry", i) &&
                 BSON_APPEND_INT64(&one, "bytes", (int64_t)s->nbytes) &&
                 BSON_APPEND_INT64(&one, "crc", (int64_t)s->crc) && bson_append_document_end(&open, &one);
    }
    ok = ok && bson_append_array_end(position, &open) &&
         BSON_APPEND_BINARY(position, "flags", BSON_SUBTYPE_BINARY, flags, n);
    free(flags);
    return ok;
}

static bool archive_save(const struct kt_source *source, bson_t *position)
{
    const struct archive_source *a = (const struct archive_source *)source;
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

static enum kt_status load_names(struct archive_source *a, bson_iter_t *position, struct kt_error *err)
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
            status = entry_of(a, db, collection, &entry, err);
    }
    return status;
}

static bool load_states(struct archive_source *a, bson_iter_t *position)
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

static enum kt_status archive_seek(struct kt_source *source, bson_iter_t *position, struct kt_error *err)
{
    struct archive_source *a = (struct archive_source *)source;
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

static void archive_close(struct kt_source *source)
{
    struct archive_source *a = (struct archive_source *)source;
    kt_archive_list_free(&a->list);
    kt_region_free(&a->scratch);
    free(a->states);
}

static const struct kt_source_kind archive_kind = {KT_ARCHIVE, archive_next, archive_save, archive_seek,
                                                   archive_close};

struct kt_span kt_archive_prelude(const struct kt_source *source)
{
    const struct archive_source *a = (const struct archive_source *)source;
    return kt_span_of(a->list.bytes.data, a->list.bytes.nbytes);
}

enum kt_status kt_archive_source(struct kt_source **source, struct kt_feed *feed, const char *name,
                                 struct kt_error *err)
{
    struct archive_source *a = kt_source_new(sizeof *a, &archive_kind, name);
    if (!a) {
        kt_feed_close(feed);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
    }
    a->current = -1;
    a->base.feed = *feed;
    kt_input_share(feed->in, &a->base.done, &a->base.stop);
    enum kt_status status = kt_archive_list_read(&a->list, &a->base.feed, &a->base.entries, err);
    if (status == KT_OK)
        status = fit_states(a, err);
    a->nlisted = kt_entries_count(&a->base.entries);
    if (status == KT_OK)
        *source = &a->base;
    else
        kt_source_close(&a->base);
    return status;
}
