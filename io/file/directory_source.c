/* SPDX-License-Identifier: Apache-2.0 */
/* mongodump's folder: one entry a file, in the order of their paths. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/magic.h"
#include "io/file/source.h"
#include "io/file/tree.h"

struct directory_source {
    struct kt_source base;
    int root;
    struct kt_tree tree;
    uint32_t current; /* entry */
    bool file_open;
    bool opened; /* the current entry gave its first piece */
};

static enum kt_status memory_ran_out(const struct kt_source *source, struct kt_error *err)
{
    return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", source->name);
}

static enum kt_status open_current(struct directory_source *d, struct kt_error *err)
{
    const struct kt_file_entry *entry = kt_entries_at(&d->base.entries, d->current);
    int fd = openat(d->root, entry->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return kt_fail(err, KT_E_IO, "%s/%s: cannot be opened: %s", d->base.name, entry->file,
                       strerror(errno));
    char *label = NULL;
    struct kt_input *in = NULL;
    if (asprintf(&label, "%s/%s", d->base.name, entry->file) < 0) {
        close(fd);
        return memory_ran_out(&d->base, err);
    }
    enum kt_status status = kt_input_open(&in, fd, label, entry->has_docs, &d->base.raw, err);
    if (status == KT_OK && kt_identity_add(0, "", kt_input_stat(in)) != kt_identity_add(0, "", &entry->st))
        status = kt_fail(err, KT_E_IO, "%s: changed since the job began", label);
    free(label);
    if (status != KT_OK) {
        kt_input_close(in);
        return status;
    }
    kt_input_share(in, &d->base.done, &d->base.stop);
    kt_feed_open(&d->base.feed, in);
    d->file_open = true;
    return KT_OK;
}

static enum kt_status directory_next(struct kt_source *source, size_t want, struct kt_region *into,
                                     struct kt_piece *piece, struct kt_error *err)
{
    struct directory_source *d = (struct directory_source *)source;
    enum kt_status status;
    if (d->current == kt_entries_count(&source->entries))
        return KT_OK;
    if (!d->file_open && (status = open_current(d, err)) != KT_OK)
        return status;
    const struct kt_file_entry *entry = kt_entries_at(&source->entries, d->current);
    uint64_t at = source->feed.at;
    size_t nbytes;
    enum kt_feed_stop stop;
    if (entry->has_docs)
        status = kt_feed_docs(&source->feed, want, into, &nbytes, &stop, entry->shown.ns, err);
    else
        status = kt_feed_bytes(&source->feed, want, into, &nbytes, &stop, err);
    if (status != KT_OK)
        return status;
    *piece = (struct kt_piece){.kind = entry->has_docs ? KT_PIECE_DOCS : KT_PIECE_BYTES,
                               .entry = d->current,
                               .opens = !d->opened,
                               .closes = stop == KT_FEED_END,
                               .nbytes = nbytes,
                               .at = at};
    d->opened = true;
    if (stop == KT_FEED_END) {
        kt_feed_close(&source->feed);
        d->file_open = d->opened = false;
        d->current++;
    }
    return KT_OK;
}

static bool directory_save(const struct kt_source *source, bson_t *position)
{
    const struct directory_source *d = (const struct directory_source *)source;
    return BSON_APPEND_INT64(position, "entry", d->current) &&
           BSON_APPEND_INT64(position, "at", (int64_t)source->feed.at) &&
           BSON_APPEND_BOOL(position, "opened", d->opened);
}

static enum kt_status directory_seek(struct kt_source *source, bson_iter_t *position, struct kt_error *err)
{
    struct directory_source *d = (struct directory_source *)source;
    int64_t entry = kt_position_int(position, "entry", -1);
    uint32_t n = kt_entries_count(&source->entries);
    if (entry < 0 || entry > n)
        return kt_fail(err, KT_E_OTHER_JOB, "%s: the checkpoint names a file that is not there",
                       source->name);
    for (d->current = 0; d->current < entry; d->current++) {
        const struct stat *st = &kt_entries_at(&source->entries, d->current)->st;
        atomic_fetch_add_explicit(&source->done, (uint64_t)st->st_size, memory_order_relaxed);
    }
    d->opened = kt_position_int(position, "opened", 0);
    if (!d->opened || d->current == n)
        return KT_OK;
    enum kt_status status = open_current(d, err);
    if (status != KT_OK)
        return status;
    return kt_feed_skip(&source->feed, (uint64_t)kt_position_int(position, "at", 0), err);
}

static void directory_close(struct kt_source *source)
{
    struct directory_source *d = (struct directory_source *)source;
    kt_tree_free(&d->tree);
    close(d->root);
}

static const struct kt_source_kind directory_kind = {KT_DIRECTORY, directory_next, directory_save,
                                                     directory_seek, directory_close};

const char *kt_directory_folder(const struct kt_source *source, size_t i)
{
    const struct directory_source *d = (const struct directory_source *)source;
    return i < d->tree.nfolders ? d->tree.folders[i].path : NULL;
}

/* "shop" for "shop/customers.bson" and for "x/shop/customers.bson"; root_name for a file that lies in no
 * folder below the root: then the root itself is a database's folder. malloc'ed, NULL when memory ran out. */
static char *database_of(const char *path, const char *root_name)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(root_name);
    const char *start = slash;
    while (start > path && start[-1] != '/')
        start--;
    return strndup(start, (size_t)(slash - start));
}

static enum kt_status look_inside(struct directory_source *d, struct kt_file_entry *entry,
                                  struct kt_error *err)
{
    uint8_t head[KT_MAGIC_PEEK_NBYTES];
    int fd = openat(d->root, entry->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : 0;
    if (n == 0 && entry->has_docs)
        n = pread(fd, head, sizeof head, 0);
    int cause = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return kt_fail(err, cause == EIO ? KT_E_IO : KT_E_USAGE, "%s/%s: cannot be opened: %s", d->base.name,
                       entry->file, strerror(cause));
    entry->shown.codec = kt_magic_codec(kt_span_of(head, (size_t)n));
    return KT_OK;
}

static enum kt_status name_entry(struct directory_source *d, struct kt_file_entry *entry,
                                 const char *root_name, struct kt_error *err)
{
    struct kt_metadata metadata;
    bool found;
    char *label = NULL;
    if (asprintf(&label, "%s/%s", d->base.name, entry->file) < 0)
        return memory_ran_out(&d->base, err);
    enum kt_status status =
        kt_metadata_beside(&metadata, &found, d->root, entry->file, label, &d->base.raw, err);
    free(label);
    if (status != KT_OK)
        return status;
    const char *slash = strrchr(entry->file, '/'), *file = slash ? slash + 1 : entry->file;
    size_t stem = kt_bson_stem(file);
    entry->shown.is_oplog = !slash && !found && stem == 5 && strncmp(file, "oplog", 5) == 0;
    if (entry->shown.is_oplog)
        return KT_OK;
    char *db = database_of(entry->file, root_name), *decoded = kt_percent_decode(file, stem);
    const char *collection = metadata.collection ? metadata.collection : decoded;
    entry->ns = db && collection ? kt_ns_join(db, collection) : NULL;
    entry->shown.named = KT_NAMED_BY_STORE;
    kt_entry_describe(entry, &metadata);
    kt_metadata_free(&metadata);
    free(db);
    free(decoded);
    return entry->ns ? KT_OK : memory_ran_out(&d->base, err);
}

static enum kt_status add_entry(struct directory_source *d, const struct kt_tree_node *node,
                                const char *root_name, struct kt_error *err)
{
    struct kt_file_entry *entry = kt_entries_add(&d->base.entries);
    if (!entry || !(entry->file = strdup(node->path)))
        return memory_ran_out(&d->base, err);
    const char *slash = strrchr(entry->file, '/');
    entry->has_docs = kt_bson_stem(slash ? slash + 1 : entry->file) > 0;
    entry->st = node->st;
    enum kt_status status = look_inside(d, entry, err);
    if (status == KT_OK && entry->has_docs)
        status = name_entry(d, entry, root_name, err);
    if (status != KT_OK)
        return status;
    kt_entries_show(&d->base.entries);
    d->base.total += (uint64_t)node->st.st_size;
    d->base.identity = kt_identity_add(d->base.identity, node->path, &node->st);
    return KT_OK;
}

static enum kt_status add_entries(struct directory_source *d, struct kt_error *err)
{
    enum kt_status status = kt_tree_list(&d->tree, d->root, d->base.name, err);
    if (status != KT_OK)
        return status;
    char *real = realpath(d->base.name, NULL);
    if (!real)
        return kt_fail(err, KT_E_USAGE, "%s: %s", d->base.name, strerror(errno));
    for (size_t i = 0; status == KT_OK && i < d->tree.nfiles; i++)
        status = add_entry(d, &d->tree.files[i], strrchr(real, '/') + 1, err);
    free(real);
    return status;
}

enum kt_status kt_directory_source(struct kt_source **source, int root, const char *name,
                                   struct kt_error *err)
{
    struct directory_source *d = kt_source_new(sizeof *d, &directory_kind, name);
    if (!d) {
        close(root);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
    }
    d->root = root;
    enum kt_status status = add_entries(d, err);
    if (status == KT_OK)
        *source = &d->base;
    else
        kt_source_close(&d->base);
    return status;
}
