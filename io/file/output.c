/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/encode.h"

/* Small writes and packed bytes are gathered to this much; larger unpacked ones go out as they are. */
#define GATHER_NBYTES ((size_t)256 << 10)

/* At most this much in one write(2). Measured on ext4, Linux 6.18: one of 4 MiB costs three times the CPU of
 * four of 1 MiB. */
#define WRITE_NBYTES ((size_t)1 << 20)

/* The disk is set to work after each of these: else all of it waits for the sync of a checkpoint (twice the
 * time for a copy of 1 GB). */
#define WRITEBACK_NBYTES ((uint64_t)8 << 20)

struct kt_output {
    int fd;
    uint64_t at;   /* bytes handed to the kernel */
    uint64_t sent; /* of those, on their way to the disk */
    char *label;
    struct kt_region own, *gathered; /* gathered is own or lent */
    size_t ngathered;
    struct kt_encoder *encoder; /* NULL without a codec */
};

static enum kt_status write_error(const struct kt_output *out, struct kt_error *err)
{
    if (errno == EPIPE)
        return kt_fail(err, KT_E_IO, "%s: the reader of the pipe is gone (%s)", out->label, strerror(EPIPE));
    return kt_fail(err, KT_E_IO, "%s: cannot be written: %s", out->label, strerror(errno));
}

static enum kt_status write_out(struct kt_output *out, const uint8_t *p, size_t nbytes, struct kt_error *err)
{
    while (nbytes > 0) {
        ssize_t n = write(out->fd, p, nbytes < WRITE_NBYTES ? nbytes : WRITE_NBYTES);
        if (n < 0 && errno == EAGAIN) { /* a pipe that somebody else made non-blocking */
            struct pollfd wait = {.fd = out->fd, .events = POLLOUT};
            poll(&wait, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_error(out, err);
        p += n;
        nbytes -= (size_t)n;
        out->at += (uint64_t)n;
    }
    if (out->at - out->sent >= WRITEBACK_NBYTES) { /* an advice; pipes refuse it */
        sync_file_range(out->fd, (off_t)out->sent, (off_t)(out->at - out->sent), SYNC_FILE_RANGE_WRITE);
        out->sent = out->at;
    }
    return KT_OK;
}

static enum kt_status flush(struct kt_output *out, struct kt_error *err)
{
    size_t n = out->ngathered;
    out->ngathered = 0;
    return write_out(out, out->gathered->data, n, err);
}

static enum kt_status write_plain(struct kt_output *out, struct kt_span bytes, struct kt_error *err)
{
    enum kt_status status;
    if (out->ngathered + bytes.nbytes > GATHER_NBYTES && (status = flush(out, err)) != KT_OK)
        return status;
    if (bytes.nbytes > GATHER_NBYTES / 4 && out->ngathered == 0)
        return write_out(out, bytes.data, bytes.nbytes, err);
    memcpy(out->gathered->data + out->ngathered, bytes.data, bytes.nbytes);
    out->ngathered += bytes.nbytes;
    return KT_OK;
}

/* end: also closes the member or frame. */
static enum kt_status write_packed(struct kt_output *out, struct kt_span bytes, bool end,
                                   struct kt_error *err)
{
    bool more = true;
    while (more || bytes.nbytes > 0) {
        enum kt_status status;
        if (out->ngathered == GATHER_NBYTES && (status = flush(out, err)) != KT_OK)
            return status;
        size_t made;
        status = kt_encoder_step(out->encoder, &bytes, end, out->gathered->data + out->ngathered,
                                 GATHER_NBYTES - out->ngathered, &made, &more, out->label, err);
        if (status != KT_OK)
            return status;
        out->ngathered += made;
    }
    return KT_OK;
}

enum kt_status kt_output_write(struct kt_output *out, struct kt_span bytes, struct kt_error *err)
{
    if (bytes.nbytes == 0)
        return KT_OK;
    return out->encoder ? write_packed(out, bytes, false, err) : write_plain(out, bytes, err);
}

enum kt_status kt_output_cut(struct kt_output *out, uint64_t *at, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    if (out->encoder && kt_encoder_inside(out->encoder))
        status = write_packed(out, kt_span_of(NULL, 0), true, err);
    if (status == KT_OK)
        status = flush(out, err);
    *at = out->at;
    return status;
}

enum kt_status kt_output_sync(struct kt_output *out, struct kt_error *err)
{
    if (fdatasync(out->fd) == 0)
        return KT_OK;
    return kt_fail(err, KT_E_IO, "%s: cannot be made durable: %s", out->label, strerror(errno));
}

enum kt_status kt_output_finish(struct kt_output *out, struct kt_error *err)
{
    uint64_t at;
    enum kt_status status = kt_output_cut(out, &at, err);
    if (status == KT_OK && out->encoder && at == 0) {
        status = write_packed(out, kt_span_of(NULL, 0), true, err);
        if (status == KT_OK)
            status = flush(out, err);
    }
    int fd = out->fd;
    out->fd = -1;
    if (close(fd) != 0 && status == KT_OK)
        status = write_error(out, err);
    kt_output_abandon(out);
    return status;
}

void kt_output_abandon(struct kt_output *out)
{
    if (!out)
        return;
    if (out->fd >= 0)
        close(out->fd);
    kt_encoder_free(out->encoder);
    kt_region_free(&out->own);
    free(out->label);
    free(out);
}

enum kt_status kt_output_open(struct kt_output **result, int fd, uint64_t at, enum kt_codec codec,
                              const char *label, struct kt_region *lent, struct kt_error *err)
{
    *result = NULL;
    struct kt_output *out = calloc(1, sizeof *out);
    if (!out) {
        close(fd);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    }
    *out = (struct kt_output){.fd = fd, .at = at, .sent = at, .label = strdup(label)};
    out->gathered = lent ? lent : &out->own;
    if (codec != KT_CODEC_NONE)
        out->encoder = kt_encoder_new(codec);
    bool packed = out->encoder || codec == KT_CODEC_NONE;
    if (!out->label || !packed || kt_region_reserve(out->gathered, GATHER_NBYTES) != KT_OK) {
        kt_output_abandon(out);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    }
    *result = out;
    return KT_OK;
}
