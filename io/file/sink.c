/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECKPOINT_VERSION 1

static enum kt_status memory_ran_out(const struct kt_sink *sink, struct kt_error *err)
{
    return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", sink->label);
}

static struct kt_sink *new_sink(const struct kt_source *like, const char *label)
{
    enum kt_container container = kt_source_container(like);
    size_t size = container == KT_ARCHIVE     ? kt_archive_sink_size()
                  : container == KT_DIRECTORY ? kt_directory_sink_size()
                                              : sizeof(struct kt_sink);
    struct kt_sink *sink = calloc(1, size);
    if (!sink)
        return NULL;
    sink->kind = container == KT_ARCHIVE     ? &kt_archive_sink
                 : container == KT_DIRECTORY ? &kt_directory_sink
                                             : &kt_lone_sink;
    sink->like = like;
    sink->part = (struct kt_part){.parent = -1, .fd = -1};
    sink->label = strdup(label);
    if (sink->label)
        return sink;
    free(sink);
    return NULL;
}

/* Takes what was found in the checkpoint apart; a stale or foreign part is told from one of ours here. */
static enum kt_status look_at_part(struct kt_sink *sink, struct kt_error *err)
{
    if (sink->part.is_empty)
        return KT_OK;
    enum kt_status status = kt_part_load(&sink->part, &sink->stored, err);
    if (status != KT_OK)
        return status;
    if (!sink->stored)
        return kt_fail(err, KT_E_EXISTS,
                       "%s: exists and carries no checkpoint; remove it or give another name",
                       sink->part.label);
    bson_iter_t iter;
    const uint8_t *job;
    uint32_t nbytes;
    if (!bson_iter_init_find(&iter, sink->stored, "job") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return KT_OK;
    bson_iter_document(&iter, &nbytes, &job);
    sink->job = bson_new_from_data(job, nbytes);
    return sink->job ? KT_OK : kt_fail(err, KT_E_FORMAT, "%s: its checkpoint is damaged", sink->label);
}

static bool names_stream(const char *name)
{
    struct stat st;
    return strcmp(name, "-") == 0 || (stat(name, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

static enum kt_status check_stream(struct kt_sink *sink, const char *name, struct kt_error *err)
{
    sink->is_stream = true;
    if (kt_source_container(sink->like) == KT_DIRECTORY)
        return kt_fail(err, KT_E_USAGE, "%s: a folder cannot be written to a stream", sink->label);
    if (strcmp(name, "-") != 0 && access(name, W_OK) != 0)
        return kt_fail(err, KT_E_USAGE, "%s: cannot be opened: %s", sink->label, strerror(errno));
    return KT_OK;
}

static enum kt_status open_stream(struct kt_sink *sink, const char *name, struct kt_error *err)
{
    enum kt_status status = check_stream(sink, name, err);
    if (status != KT_OK)
        return status;
    int fd = strcmp(name, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return kt_fail(err, KT_E_USAGE, "%s: cannot be opened: %s", sink->label, strerror(errno));
    return kt_output_open(&sink->out, fd, 0, kt_input_codec(sink->like->feed.in), sink->label, NULL, err);
}

/* What is written into the source's own folder would be part of it when the job goes on later. */
static enum kt_status check_outside(const struct kt_source *like, const struct kt_part *part,
                                    struct kt_error *err)
{
    if (kt_source_container(like) != KT_DIRECTORY)
        return KT_OK;
    char link[32], *there = realpath(like->name, NULL);
    snprintf(link, sizeof link, "/proc/self/fd/%d", part->parent);
    char *here = realpath(link, NULL);
    size_t n = there ? strlen(there) : 0;
    bool inside = here && there && strncmp(here, there, n) == 0 && (here[n] == 0 || here[n] == '/');
    free(here);
    free(there);
    return inside ? kt_fail(err, KT_E_USAGE, "%s: lies inside the input", part->label) : KT_OK;
}

static enum kt_status open_part(struct kt_sink *sink, const char *name, bool look, struct kt_error *err)
{
    bool folder = kt_source_container(sink->like) == KT_DIRECTORY;
    enum kt_status status =
        look ? kt_part_look(&sink->part, name, folder, err) : kt_part_open(&sink->part, name, folder, err);
    if (status == KT_OK)
        status = check_outside(sink->like, &sink->part, err);
    return status == KT_OK ? look_at_part(sink, err) : status;
}

static enum kt_status open_or_look(struct kt_sink **result, const char *name, const struct kt_source *like,
                                   bool look, struct kt_error *err)
{
    *result = NULL;
    struct kt_sink *sink = new_sink(like, strcmp(name, "-") == 0 ? "stdout" : name);
    if (!sink)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
    enum kt_status status;
    if (!names_stream(name))
        status = open_part(sink, name, look, err);
    else
        status = look ? check_stream(sink, name, err) : open_stream(sink, name, err);
    if (status != KT_OK) {
        kt_sink_close(sink, !look && sink->part.is_empty);
        return status;
    }
    *result = sink;
    return KT_OK;
}

enum kt_status kt_sink_open(struct kt_sink **sink, const char *name, const struct kt_source *like,
                            struct kt_error *err)
{
    return open_or_look(sink, name, like, false, err);
}

enum kt_status kt_sink_look(struct kt_sink **sink, const char *name, const struct kt_source *like,
                            struct kt_error *err)
{
    return open_or_look(sink, name, like, true, err);
}

const bson_t *kt_sink_position(const struct kt_sink *sink)
{
    return sink->job;
}

bool kt_sink_is_stream(const struct kt_sink *sink)
{
    return sink->is_stream;
}

static void forget(struct kt_sink *sink)
{
    bson_destroy(sink->stored);
    bson_destroy(sink->job);
    sink->stored = sink->job = NULL;
}

enum kt_status kt_sink_restart(struct kt_sink *sink, struct kt_error *err)
{
    if (sink->state != KT_SINK_OPENED)
        return kt_fail(err, KT_E_INTERNAL, "%s: is being written already", sink->label);
    forget(sink);
    enum kt_status status = sink->is_stream ? KT_OK : kt_part_clear(&sink->part, err);
    if (status == KT_OK)
        status = sink->kind->begin(sink, err);
    if (status == KT_OK)
        sink->state = KT_SINK_READY;
    return status;
}

enum kt_status kt_sink_resume(struct kt_sink *sink, struct kt_error *err)
{
    bson_iter_t version, position;
    if (sink->state != KT_SINK_OPENED || !sink->job)
        return kt_fail(err, KT_E_INTERNAL, "%s: there is nothing to go on from", sink->label);
    if (!bson_iter_init_find(&version, sink->stored, "version") || !BSON_ITER_HOLDS_INT32(&version) ||
        bson_iter_int32(&version) != CHECKPOINT_VERSION ||
        !bson_iter_init_find(&position, sink->stored, "output") || !BSON_ITER_HOLDS_DOCUMENT(&position))
        return kt_fail(err, KT_E_OTHER_JOB, "%s: its checkpoint is another version's", sink->label);
    if (kt_position_int(&position, "container", -1) != (int64_t)kt_source_container(sink->like))
        return kt_fail(err, KT_E_OTHER_JOB, "%s: its checkpoint is of another kind of output", sink->label);
    enum kt_status status = sink->kind->resume(sink, &position, err);
    if (status == KT_OK)
        sink->state = KT_SINK_READY;
    return status;
}

enum kt_status kt_sink_put(struct kt_sink *sink, const struct kt_entry *entry, const struct kt_piece *piece,
                           struct kt_span bytes, struct kt_error *err)
{
    enum kt_status status;
    if (sink->state == KT_SINK_OPENED && !sink->job && (status = kt_sink_restart(sink, err)) != KT_OK)
        return status;
    if (sink->state != KT_SINK_READY)
        return kt_fail(err, KT_E_INTERNAL, "%s: neither begun anew nor resumed", sink->label);
    return sink->kind->put(sink, (const struct kt_file_entry *)entry, piece, bytes, err);
}

enum kt_status kt_sink_checkpoint(struct kt_sink *sink, const bson_t *job, struct kt_error *err)
{
    if (sink->is_stream)
        return KT_OK;
    enum kt_status status;
    if (sink->state == KT_SINK_OPENED && !sink->job && (status = kt_sink_restart(sink, err)) != KT_OK)
        return status;
    if (sink->state != KT_SINK_READY)
        return kt_fail(err, KT_E_INTERNAL, "%s: neither begun anew nor resumed", sink->label);
    bson_t doc = BSON_INITIALIZER, output;
    bool ok = BSON_APPEND_INT32(&doc, "version", CHECKPOINT_VERSION) &&
              BSON_APPEND_DOCUMENT_BEGIN(&doc, "output", &output) &&
              BSON_APPEND_INT32(&output, "container", (int32_t)kt_source_container(sink->like));
    status = ok ? sink->kind->save(sink, &output, err) : memory_ran_out(sink, err);
    ok = ok && bson_append_document_end(&doc, &output) && BSON_APPEND_DOCUMENT(&doc, "job", job);
    if (status == KT_OK)
        status = ok ? kt_part_store(&sink->part, &doc, err) : memory_ran_out(sink, err);
    bson_destroy(&doc);
    return status;
}

enum kt_status kt_sink_finish(struct kt_sink *sink, struct kt_error *err)
{
    enum kt_status status;
    if (sink->state == KT_SINK_OPENED && !sink->job && (status = kt_sink_restart(sink, err)) != KT_OK)
        return status;
    if (sink->state != KT_SINK_READY)
        return kt_fail(err, KT_E_INTERNAL, "%s: neither begun anew nor resumed", sink->label);
    status = sink->kind->finish(sink, err);
    if (status == KT_OK && !sink->is_stream)
        status = kt_part_publish(&sink->part, err);
    if (status == KT_OK)
        sink->state = KT_SINK_FINISHED;
    return status;
}

void kt_sink_close(struct kt_sink *sink, bool discard)
{
    if (!sink)
        return;
    kt_output_abandon(sink->out);
    kt_region_free(&sink->gathered);
    sink->kind->close(sink);
    if (discard && !sink->is_stream && sink->state != KT_SINK_FINISHED && sink->part.fd >= 0)
        kt_part_discard(&sink->part);
    kt_part_close(&sink->part);
    forget(sink);
    free(sink->label);
    free(sink);
}
