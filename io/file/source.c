/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "io/file/magic.h"

void *kt_source_new(size_t size, const struct kt_source_kind *kind, const char *name)
{
    struct kt_source *source = calloc(1, size);
    if (!source)
        return NULL;
    source->kind = kind;
    source->name = strdup(name);
    if (source->name)
        return source;
    free(source);
    return NULL;
}

uint64_t kt_identity_add(uint64_t identity, const char *name, const struct stat *st)
{
    int64_t fields[] = {st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (int64_t)st->st_ino};
    identity = kt_crc64(identity, name, strlen(name) + 1);
    return kt_crc64(identity, fields, sizeof fields);
}

static enum kt_status no_access(const char *name, struct kt_error *err)
{
    return kt_fail(err, errno == EIO ? KT_E_IO : KT_E_USAGE, "%s: cannot be opened: %s", name,
                   strerror(errno));
}

static enum kt_status open_stream(struct kt_source **source, int fd, const char *name,
                                  const struct kt_source_options *options, struct kt_error *err)
{
    struct kt_input *in;
    enum kt_status status = kt_input_open(&in, fd, strcmp(name, "-") == 0 ? "stdin" : name, true, NULL, err);
    if (status != KT_OK)
        return status;
    const struct stat st = *kt_input_stat(in);
    struct kt_feed feed;
    struct kt_span head;
    kt_feed_open(&feed, in);
    status = kt_feed_peek(&feed, 4, &head, err);
    if (status != KT_OK) {
        kt_feed_close(&feed);
        return status;
    }
    status = kt_magic_is_archive(head) ? kt_archive_source(source, &feed, name, err)
                                       : kt_lone_source(source, &feed, name, options, err);
    if (status != KT_OK)
        return status;
    (*source)->is_pipe = !S_ISREG(st.st_mode);
    (*source)->total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    (*source)->identity = kt_identity_add(0, "", &st);
    return KT_OK;
}

enum kt_status kt_source_open(struct kt_source **source, const char *name,
                              const struct kt_source_options *options, struct kt_error *err)
{
    *source = NULL;
    int fd = strcmp(name, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return no_access(name, err);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        close(fd);
        return no_access(name, err);
    }
    if (S_ISDIR(st.st_mode))
        return kt_directory_source(source, fd, name, err);
    return open_stream(source, fd, name, options, err);
}

void kt_source_close(struct kt_source *source)
{
    if (!source)
        return;
    source->kind->close(source);
    kt_feed_close(&source->feed);
    kt_region_free(&source->raw);
    kt_entries_free(&source->entries);
    free(source->name);
    free(source);
}

enum kt_container kt_source_container(const struct kt_source *source)
{
    return source->kind->container;
}

const char *kt_source_name(const struct kt_source *source)
{
    return source->name;
}

const struct kt_entry *kt_source_entry(const struct kt_source *source, uint32_t i)
{
    struct kt_file_entry *entry = kt_entries_at(&source->entries, i);
    return entry ? &entry->shown : NULL;
}

void kt_source_interrupt(struct kt_source *source)
{
    atomic_store(&source->stop, true);
}

void kt_source_progress(const struct kt_source *source, uint64_t *done, uint64_t *total)
{
    *done = atomic_load_explicit(&source->done, memory_order_relaxed);
    *total = source->total;
}

enum kt_status kt_source_next(struct kt_source *source, size_t want, struct kt_region *into,
                              struct kt_piece *piece, struct kt_error *err)
{
    *piece = (struct kt_piece){.kind = KT_PIECE_END};
    return source->kind->next(source, want ? want : 1, into, piece, err);
}

enum kt_status kt_source_save(const struct kt_source *source, bson_t *position)
{
    bson_t input;
    uint64_t known_by = source->is_pipe ? source->feed.crc : source->identity;
    bool ok = BSON_APPEND_DOCUMENT_BEGIN(position, "input", &input) &&
              BSON_APPEND_INT32(&input, "container", (int32_t)source->kind->container) &&
              BSON_APPEND_BOOL(&input, "pipe", source->is_pipe) &&
              BSON_APPEND_INT64(&input, "known_by", (int64_t)known_by) &&
              source->kind->save(source, &input) && bson_append_document_end(position, &input);
    return ok ? KT_OK : KT_E_NOMEM;
}

int64_t kt_position_int(bson_iter_t *position, const char *key, int64_t absent)
{
    bson_iter_t start = *position, at;
    if (!bson_iter_recurse(&start, &at) || !bson_iter_find(&at, key))
        return absent;
    return BSON_ITER_HOLDS_INT(&at) || BSON_ITER_HOLDS_BOOL(&at) ? bson_iter_as_int64(&at) : absent;
}

static enum kt_status other_input(const struct kt_source *source, struct kt_error *err)
{
    return kt_fail(err, KT_E_OTHER_JOB,
                   "%s: not the input that this job began with (%s); give the same input, or begin "
                   "anew with --forget",
                   source->name,
                   source->is_pipe ? "the bytes differ" : "name, size, time or inode number differ");
}

enum kt_status kt_source_seek(struct kt_source *source, const bson_t *position, struct kt_error *err)
{
    bson_iter_t input;
    if (!bson_iter_init_find(&input, position, "input") || !BSON_ITER_HOLDS_DOCUMENT(&input))
        return kt_fail(err, KT_E_OTHER_JOB, "%s: the checkpoint holds no position in an input", source->name);
    if (kt_position_int(&input, "container", -1) != (int64_t)source->kind->container ||
        kt_position_int(&input, "pipe", -1) != source->is_pipe)
        return other_input(source, err);
    uint64_t known_by = (uint64_t)kt_position_int(&input, "known_by", 0);
    if (!source->is_pipe && known_by != source->identity)
        return other_input(source, err);
    enum kt_status status = source->kind->seek(source, &input, err);
    if (status == KT_OK && source->is_pipe && known_by != source->feed.crc)
        status = other_input(source, err);
    return status;
}
