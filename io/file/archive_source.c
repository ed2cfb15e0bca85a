/* SPDX-License-Identifier: Apache-2.0 */
/* mongodump's archive: magic, a list of collections, then segments of documents that alternate between
 * namespaces. Layout and checks follow mongo-tools common/archive/spec.md and its demultiplexer. */
#include <inttypes.h>
#include <stdlib.h>

#include "io/file/archive_source.h"
#include "io/file/crc64.h"

static const char *who(const struct kt_archive_source *a, uint32_t entry)
{
    const struct kt_file_entry *e = kt_entries_at(&a->base.entries, entry);
    return *e->shown.ns ? e->shown.ns : e->collection;
}

static enum kt_status broken(const struct kt_archive_source *a, const char *ns, const char *what,
                             struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "%s%s%s: byte %" PRIu64 ": %s", kt_input_label(a->base.feed.in),
                   *ns ? ": " : "", ns, a->base.feed.at, what);
}

static enum kt_status fit_states(struct kt_archive_source *a, struct kt_error *err)
{
    uint32_t n = kt_entries_count(&a->base.entries);
    if (n <= a->nstates)
        return KT_OK;
    uint32_t capacity = n < 16 ? 16 : n * 2;
    struct kt_ns_state *more = realloc(a->states, capacity * sizeof *more);
    if (!more)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", a->base.name);
    memset(more + a->nstates, 0, (capacity - a->nstates) * sizeof *more);
    a->states = more;
    a->nstates = capacity;
    return KT_OK;
}

enum kt_status kt_archive_entry_of(struct kt_archive_source *a, const char *db, const char *collection,
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

static enum kt_status end_namespace(struct kt_archive_source *a, uint32_t entry,
                                    const struct kt_archive_header *h, struct kt_error *err)
{
    struct kt_ns_state *state = &a->states[entry];
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
    state->flags = KT_NS_SEEN | KT_NS_CLOSED;
    return KT_OK;
}

/* Everything that was listed must have come: an archive that is cut off between segments shows in no other
 * way. */
static enum kt_status check_complete(const struct kt_archive_source *a, struct kt_error *err)
{
    for (uint32_t i = 0; i < kt_entries_count(&a->base.entries); i++) {
        const struct kt_file_entry *e = kt_entries_at(&a->base.entries, i);
        uint8_t flags = a->states[i].flags;
        if ((flags & KT_NS_SEEN) && !(flags & KT_NS_CLOSED))
            return broken(a, who(a, i), "the archive is cut off: this namespace has not ended", err);
        if ((flags & KT_NS_SEEN) || e->no_data)
            continue;
        uint32_t buckets;
        if (e->shown.is_timeseries &&
            kt_archive_find_buckets(&a->list.names, &a->base.entries, e, &buckets) &&
            (a->states[buckets].flags & KT_NS_SEEN))
            continue;
        return broken(a, who(a, i), "the archive is cut off: this namespace is listed and has not come", err);
    }
    return KT_OK;
}

static enum kt_status read_header(struct kt_archive_source *a, struct kt_piece *piece, bool *at_end,
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
    status = kt_archive_entry_of(a, h.db, h.collection, &entry, err);
    if (status != KT_OK)
        return status;
    struct kt_ns_state *state = &a->states[entry];
    if (state->flags & KT_NS_CLOSED)
        return broken(a, who(a, entry), "goes on after its end", err);
    if (!h.eof) {
        a->current = entry;
        a->fresh = true;
        return KT_OK;
    }
    *piece = (struct kt_piece){.kind = KT_PIECE_DOCS,
                               .entry = entry,
                               .opens = !(state->flags & KT_NS_SEEN),
                               .closes = true,
                               .at = state->nbytes};
    return end_namespace(a, entry, &h, err);
}

static enum kt_status read_docs(struct kt_archive_source *a, size_t want, struct kt_region *into,
                                struct kt_piece *piece, struct kt_error *err)
{
    uint32_t entry = (uint32_t)a->current;
    struct kt_ns_state *state = &a->states[entry];
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
                               .opens = !(state->flags & KT_NS_SEEN),
                               .segment = a->fresh,
                               .nbytes = nbytes,
                               .at = state->nbytes};
    state->crc = kt_crc64(state->crc, into->data, nbytes);
    state->nbytes += nbytes;
    state->flags |= KT_NS_SEEN;
    a->fresh = false;
    return KT_OK;
}

static enum kt_status archive_next(struct kt_source *source, size_t want, struct kt_region *into,
                                   struct kt_piece *piece, struct kt_error *err)
{
    struct kt_archive_source *a = (struct kt_archive_source *)source;
    enum kt_status status = KT_OK;
    bool at_end = false;
    while (status == KT_OK && !at_end && piece->kind == KT_PIECE_END)
        status = a->current < 0 ? read_header(a, piece, &at_end, err) : read_docs(a, want, into, piece, err);
    return status;
}

static void archive_close(struct kt_source *source)
{
    struct kt_archive_source *a = (struct kt_archive_source *)source;
    kt_archive_list_free(&a->list);
    kt_region_free(&a->scratch);
    free(a->states);
}

static const struct kt_source_kind archive_kind = {KT_ARCHIVE, archive_next, kt_archive_save, kt_archive_seek,
                                                   archive_close};

struct kt_span kt_archive_prelude(const struct kt_source *source)
{
    const struct kt_archive_source *a = (const struct kt_archive_source *)source;
    return kt_span_of(a->list.bytes.data, a->list.bytes.nbytes);
}

enum kt_status kt_archive_source(struct kt_source **source, struct kt_feed *feed, const char *name,
                                 struct kt_error *err)
{
    struct kt_archive_source *a = kt_source_new(sizeof *a, &archive_kind, name);
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
