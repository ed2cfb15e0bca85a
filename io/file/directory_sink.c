/* SPDX-License-Identifier: Apache-2.0 */
/* A folder like the source's, file after file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/sink.h"

struct directory_sink {
    struct kt_sink base;
    uint32_t current; /* entry that is open, while out is not NULL */
    bool tree_dirty;  /* files came up or were closed since everything was made durable */
};

size_t kt_directory_sink_size(void)
{
    return sizeof(struct directory_sink);
}

static enum kt_status failed(struct kt_sink *sink, const char *path, struct kt_error *err)
{
    return kt_fail(err, KT_E_IO, "%s/%s: cannot be written: %s", sink->part.label, path, strerror(errno));
}

static enum kt_status make_folders(struct kt_sink *sink, struct kt_error *err)
{
    const char *path;
    for (size_t i = 0; (path = kt_directory_folder(sink->like, i)) != NULL; i++)
        if (mkdirat(sink->part.fd, path, 0700) != 0 && errno != EEXIST)
            return failed(sink, path, err);
    return KT_OK;
}

static enum kt_status directory_begin(struct kt_sink *sink, struct kt_error *err)
{
    ((struct directory_sink *)sink)->tree_dirty = true;
    return make_folders(sink, err);
}

static enum kt_status open_file(struct kt_sink *sink, const struct kt_file_entry *entry, int64_t at,
                                struct kt_error *err)
{
    int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (at < 0 ? O_CREAT | O_TRUNC : 0);
    int fd = openat(sink->part.fd, entry->file, flags, 0600);
    if (fd < 0)
        return failed(sink, entry->file, err);
    if (at >= 0) {
        enum kt_status status = kt_sink_cut_back(sink, fd, at, err);
        if (status != KT_OK) {
            close(fd);
            return status;
        }
    }
    char *label = NULL;
    if (asprintf(&label, "%s/%s", sink->part.label, entry->file) < 0) {
        close(fd);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", sink->label);
    }
    enum kt_status status = kt_output_open(&sink->out, fd, at < 0 ? 0 : (uint64_t)at, entry->shown.codec,
                                           label, &sink->gathered, err);
    free(label);
    return status;
}

static enum kt_status directory_put(struct kt_sink *sink, const struct kt_file_entry *entry,
                                    const struct kt_piece *piece, struct kt_span bytes, struct kt_error *err)
{
    struct directory_sink *d = (struct directory_sink *)sink;
    enum kt_status status = KT_OK;
    if (piece->opens != !sink->out || (sink->out && piece->entry != d->current))
        return kt_fail(err, KT_E_INTERNAL, "%s/%s: pieces out of order", sink->part.label, entry->file);
    if (piece->opens) {
        status = open_file(sink, entry, -1, err);
        d->current = piece->entry;
        d->tree_dirty = true;
    }
    if (status == KT_OK)
        status = kt_output_write(sink->out, bytes, err);
    if (status == KT_OK && piece->closes) {
        status = kt_output_finish(sink->out, err);
        sink->out = NULL;
        d->tree_dirty = true;
    }
    return status;
}

/* One syncfs is cheaper than an fsync for each of thousands of small files and their folders. */
static enum kt_status sync_tree(struct directory_sink *d, struct kt_error *err)
{
    if (d->tree_dirty && syncfs(d->base.part.fd) != 0)
        return kt_fail(err, KT_E_IO, "%s: cannot be made durable: %s", d->base.part.label, strerror(errno));
    d->tree_dirty = false;
    return KT_OK;
}

static enum kt_status directory_save(struct kt_sink *sink, bson_t *position, struct kt_error *err)
{
    struct directory_sink *d = (struct directory_sink *)sink;
    uint64_t at = 0;
    enum kt_status status = KT_OK;
    if (sink->out)
        status = kt_output_cut(sink->out, &at, err);
    if (status == KT_OK && sink->out && !d->tree_dirty)
        status = kt_output_sync(sink->out, err);
    if (status == KT_OK)
        status = sync_tree(d, err);
    if (status != KT_OK)
        return status;
    bool ok = BSON_APPEND_BOOL(position, "open", sink->out != NULL) &&
              BSON_APPEND_INT64(position, "entry", d->current) &&
              BSON_APPEND_INT64(position, "bytes", (int64_t)at);
    return ok ? KT_OK : kt_fail(err, KT_E_NOMEM, "%s: memory ran out", sink->label);
}

static enum kt_status directory_resume(struct kt_sink *sink, bson_iter_t *position, struct kt_error *err)
{
    struct directory_sink *d = (struct directory_sink *)sink;
    int64_t entry = kt_position_int(position, "entry", -1);
    const struct kt_file_entry *e =
        entry < 0 || entry > UINT32_MAX ? NULL : kt_entries_at(&sink->like->entries, (uint32_t)entry);
    d->tree_dirty = true;
    if (!kt_position_int(position, "open", 0))
        return KT_OK;
    if (!e)
        return kt_fail(err, KT_E_OTHER_JOB, "%s: its checkpoint names a file that the input lacks",
                       sink->label);
    d->current = (uint32_t)entry;
    return open_file(sink, e, kt_position_int(position, "bytes", 0), err);
}

static enum kt_status directory_finish(struct kt_sink *sink, struct kt_error *err)
{
    struct directory_sink *d = (struct directory_sink *)sink;
    if (sink->out)
        return kt_fail(err, KT_E_INTERNAL, "%s: a file is not complete", sink->part.label);
    d->tree_dirty = true;
    return sync_tree(d, err);
}

static void directory_close(struct kt_sink *sink)
{
    (void)sink;
}

const struct kt_sink_kind kt_directory_sink = {directory_begin,  directory_put,    directory_save,
                                               directory_resume, directory_finish, directory_close};
