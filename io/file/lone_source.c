/* SPDX-License-Identifier: Apache-2.0 */
/* BSON documents back to back: one file, or a stream. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/names.h"
#include "io/file/source.h"

struct lone_source {
    struct kt_source base;
    bool opened, ended;
};

static enum kt_status lone_next(struct kt_source *source, size_t want, struct kt_region *into,
                                struct kt_piece *piece, struct kt_error *err)
{
    struct lone_source *lone = (struct lone_source *)source;
    if (lone->ended)
        return KT_OK;
    uint64_t at = source->feed.at;
    size_t nbytes;
    enum kt_feed_stop stop;
    const char *ns = kt_entries_at(&source->entries, 0)->shown.ns;
    enum kt_status status = kt_feed_docs(&source->feed, want, into, &nbytes, &stop, ns, err);
    if (status != KT_OK)
        return status;
    *piece = (struct kt_piece){.kind = KT_PIECE_DOCS, .nbytes = nbytes, .at = at};
    piece->opens = !lone->opened;
    piece->closes = lone->ended = stop == KT_FEED_END;
    lone->opened = true;
    return KT_OK;
}

static bool lone_save(const struct kt_source *source, bson_t *position)
{
    const struct lone_source *lone = (const struct lone_source *)source;
    return BSON_APPEND_INT64(position, "at", (int64_t)source->feed.at) &&
           BSON_APPEND_BOOL(position, "opened", lone->opened) &&
           BSON_APPEND_BOOL(position, "ended", lone->ended);
}

static enum kt_status lone_seek(struct kt_source *source, bson_iter_t *position, struct kt_error *err)
{
    struct lone_source *lone = (struct lone_source *)source;
    lone->opened = kt_position_int(position, "opened", 0);
    lone->ended = kt_position_int(position, "ended", 0);
    return kt_feed_skip(&source->feed, (uint64_t)kt_position_int(position, "at", 0), err);
}

static void lone_close(struct kt_source *source)
{
    (void)source;
}

static const struct kt_source_kind lone_kind = {KT_BSON_FILE, lone_next, lone_save, lone_seek, lone_close};

/* The metadata beside the file first, then its own name; the folder is the database. */
static enum kt_status name_by_place(struct kt_file_entry *entry, const char *path, struct kt_error *err)
{
    char *real = realpath(path, NULL);
    char *slash = real ? strrchr(real, '/') : NULL;
    if (!slash || slash == real) {
        free(real);
        return KT_OK;
    }
    *slash = 0;
    const char *file = slash + 1, *folder = strrchr(real, '/') + 1;
    size_t stem = kt_bson_stem(file);
    struct kt_metadata metadata = {0};
    bool found = false;
    enum kt_status status = KT_OK;
    int dir = stem ? open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir >= 0) {
        status = kt_metadata_beside(&metadata, &found, dir, file, path, NULL, err);
        close(dir);
    }
    if (status == KT_OK && stem > 0) {
        char *decoded = kt_percent_decode(file, stem);
        const char *collection = metadata.collection ? metadata.collection : decoded;
        entry->ns = collection ? kt_ns_join(folder, collection) : NULL;
        entry->shown.named = found ? KT_NAMED_BY_STORE : KT_NAMED_BY_FILE;
        kt_entry_describe(entry, &metadata);
        free(decoded);
        if (!entry->ns)
            status = kt_fail(err, KT_E_NOMEM, "%s: memory ran out", path);
    }
    kt_metadata_free(&metadata);
    free(real);
    return status;
}

static enum kt_status add_entry(struct lone_source *lone, const struct kt_source_options *options,
                                struct kt_error *err)
{
    struct kt_file_entry *entry = kt_entries_add(&lone->base.entries);
    if (!entry)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", lone->base.name);
    entry->has_docs = true;
    entry->shown.codec = kt_input_codec(lone->base.feed.in);
    bool is_file = S_ISREG(kt_input_stat(lone->base.feed.in)->st_mode) && strcmp(lone->base.name, "-") != 0;
    enum kt_status status = is_file ? name_by_place(entry, lone->base.name, err) : KT_OK;
    if (status != KT_OK)
        return status;
    if ((!entry->ns || !*entry->ns) && options && options->ns) {
        free(entry->ns);
        entry->ns = strdup(options->ns);
        entry->shown.named = KT_NAMED_BY_CALLER;
        if (!entry->ns)
            return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", lone->base.name);
    }
    kt_entries_show(&lone->base.entries);
    return KT_OK;
}

enum kt_status kt_lone_source(struct kt_source **source, struct kt_feed *feed, const char *name,
                              const struct kt_source_options *options, struct kt_error *err)
{
    struct lone_source *lone = kt_source_new(sizeof *lone, &lone_kind, name);
    if (!lone) {
        kt_feed_close(feed);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
    }
    lone->base.feed = *feed;
    kt_input_share(feed->in, &lone->base.done, &lone->base.stop);
    enum kt_status status = add_entry(lone, options, err);
    if (status == KT_OK)
        *source = &lone->base;
    else
        kt_source_close(&lone->base);
    return status;
}

enum kt_status kt_source_set_ns(struct kt_source *source, const char *ns, struct kt_error *err)
{
    if (source->kind != &lone_kind)
        return kt_fail(err, KT_E_USAGE, "%s: its namespaces have names of their own", source->name);
    char *copy = strdup(ns);
    if (!copy)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", source->name);
    struct kt_file_entry *entry = kt_entries_at(&source->entries, 0);
    free(entry->ns);
    entry->ns = copy;
    entry->shown.ns = copy;
    entry->shown.named = KT_NAMED_BY_CALLER;
    return KT_OK;
}
