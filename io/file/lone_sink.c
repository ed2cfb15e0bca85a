/* SPDX-License-Identifier: Apache-2.0 */
/* One file or stream, which the archive's sink uses too. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "io/file/sink.h"

/* The part's own descriptor stays for the lock; writing happens on a second one of the same open file. */
static enum kt_status open_output(struct kt_sink *sink, uint64_t at, struct kt_error *err)
{
    int fd = fcntl(sink->part.fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return kt_fail(err, KT_E_IO, "%s: %s", sink->label, strerror(errno));
    return kt_output_open(&sink->out, fd, at, kt_input_codec(sink->like->feed.in), sink->part.label, NULL,
                          err);
}

static enum kt_status lone_begin(struct kt_sink *sink, struct kt_error *err)
{
    return sink->is_stream ? KT_OK : open_output(sink, 0, err);
}

static enum kt_status lone_put(struct kt_sink *sink, const struct kt_file_entry *entry,
                               const struct kt_piece *piece, struct kt_span bytes, struct kt_error *err)
{
    (void)entry;
    (void)piece;
    return kt_output_write(sink->out, bytes, err);
}

enum kt_status kt_sink_cut_back(struct kt_sink *sink, int fd, int64_t nbytes, struct kt_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return kt_fail(err, KT_E_IO, "%s: %s", sink->part.label, strerror(errno));
    if (nbytes < 0 || st.st_size < nbytes)
        return kt_fail(err, KT_E_FORMAT, "%s: shorter than its checkpoint says; remove both to begin anew",
                       sink->part.label);
    if (ftruncate(fd, nbytes) != 0 || lseek(fd, nbytes, SEEK_SET) != nbytes)
        return kt_fail(err, KT_E_IO, "%s: cannot be cut back: %s", sink->part.label, strerror(errno));
    return KT_OK;
}

enum kt_status kt_single_save(struct kt_sink *sink, bson_t *position, struct kt_error *err)
{
    uint64_t at;
    enum kt_status status = kt_output_cut(sink->out, &at, err);
    if (status == KT_OK)
        status = kt_output_sync(sink->out, err);
    if (status == KT_OK && !BSON_APPEND_INT64(position, "bytes", (int64_t)at))
        status = kt_fail(err, KT_E_NOMEM, "%s: memory ran out", sink->label);
    return status;
}

enum kt_status kt_single_resume(struct kt_sink *sink, bson_iter_t *position, struct kt_error *err)
{
    int64_t at = kt_position_int(position, "bytes", -1);
    enum kt_status status = kt_sink_cut_back(sink, sink->part.fd, at, err);
    return status == KT_OK ? open_output(sink, (uint64_t)at, err) : status;
}

enum kt_status kt_single_finish(struct kt_sink *sink, struct kt_error *err)
{
    enum kt_status status = kt_output_finish(sink->out, err);
    sink->out = NULL;
    if (status == KT_OK && !sink->is_stream && fsync(sink->part.fd) != 0)
        status = kt_fail(err, KT_E_IO, "%s: cannot be made durable: %s", sink->part.label, strerror(errno));
    return status;
}

static void lone_close(struct kt_sink *sink)
{
    (void)sink;
}

const struct kt_sink_kind kt_lone_sink = {lone_begin,       lone_put,         kt_single_save,
                                          kt_single_resume, kt_single_finish, lone_close};
