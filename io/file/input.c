/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/decode.h"
#include "io/file/magic.h"

/* Compressed bytes read at once. */
#define RAW_NBYTES ((size_t)256 << 10)

#define LOOK_UP_MS 100

struct kt_input {
    int fd;
    char *label;
    struct stat opened;
    _Atomic uint64_t *done;
    const atomic_bool *stop;
    uint64_t raw_at;            /* bytes read of the file */
    struct kt_region own, *raw; /* raw is own or lent */
    struct kt_span rest;        /* of raw, not used yet */
    bool at_end;                /* of the file */
    enum kt_codec codec;
    struct kt_decoder *decoder; /* NULL without a codec */
};

/* A pipe may stay silent for ever: whoever waits for it looks up now and then. False: stopped. */
static bool wait_readable(const struct kt_input *in)
{
    struct pollfd wait = {.fd = in->fd, .events = POLLIN};
    for (;;) {
        if (in->stop && atomic_load_explicit(in->stop, memory_order_relaxed))
            return false;
        if (S_ISREG(in->opened.st_mode) || poll(&wait, 1, LOOK_UP_MS) > 0)
            return true;
    }
}

static enum kt_status read_file(struct kt_input *in, uint8_t *to, size_t nbytes, size_t *got,
                                struct kt_error *err)
{
    *got = 0;
    while (*got < nbytes) {
        if (!wait_readable(in))
            return kt_fail(err, KT_E_STOPPED, "stopped by request");
        ssize_t n = read(in->fd, to + *got, nbytes - *got);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) /* a pipe that somebody else made non-blocking */
            continue;
        if (n < 0)
            return kt_fail(err, KT_E_IO, "%s: cannot be read: %s", in->label, strerror(errno));
        if (n == 0) {
            in->at_end = true;
            return KT_OK;
        }
        *got += (size_t)n;
        in->raw_at += (uint64_t)n;
        if (in->done)
            atomic_fetch_add_explicit(in->done, (uint64_t)n, memory_order_relaxed);
    }
    return KT_OK;
}

/* A dump that is still being written would give half of it, without any sign of that in the format. */
static enum kt_status check_unchanged(const struct kt_input *in, struct kt_error *err)
{
    struct stat now;
    if (!S_ISREG(in->opened.st_mode))
        return KT_OK;
    if (fstat(in->fd, &now) != 0)
        return kt_fail(err, KT_E_IO, "%s: %s", in->label, strerror(errno));
    if (now.st_size != in->opened.st_size || now.st_mtim.tv_sec != in->opened.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != in->opened.st_mtim.tv_nsec)
        return kt_fail(err, KT_E_IO, "%s: changed while it was read", in->label);
    return KT_OK;
}

static enum kt_status fill_raw(struct kt_input *in, size_t nbytes, struct kt_error *err)
{
    size_t got;
    enum kt_status status = read_file(in, in->raw->data, nbytes, &got, err);
    in->rest = kt_span_of(in->raw->data, got);
    return status;
}

static enum kt_status read_plain(struct kt_input *in, uint8_t *to, size_t nbytes, size_t *got,
                                 struct kt_error *err)
{
    size_t n = in->rest.nbytes < nbytes ? in->rest.nbytes : nbytes;
    if (n > 0)
        memcpy(to, in->rest.data, n);
    in->rest = kt_span_skip(in->rest, n);
    *got = n;
    if (n == nbytes || in->at_end)
        return KT_OK;
    size_t more;
    enum kt_status status = read_file(in, to + n, nbytes - n, &more, err);
    *got += more;
    return status;
}

static enum kt_status read_packed(struct kt_input *in, uint8_t *to, size_t nbytes, size_t *got,
                                  struct kt_error *err)
{
    *got = 0;
    while (*got < nbytes) {
        enum kt_status status;
        if (in->rest.nbytes == 0 && !in->at_end && (status = fill_raw(in, RAW_NBYTES, err)) != KT_OK)
            return status;
        if (in->rest.nbytes == 0 && !kt_decoder_inside(in->decoder))
            return KT_OK;
        size_t made;
        uint64_t at = in->raw_at - in->rest.nbytes;
        status = kt_decoder_step(in->decoder, &in->rest, to + *got, nbytes - *got, &made, in->label, at, err);
        if (status != KT_OK)
            return status;
        if (made == 0 && in->rest.nbytes == 0 && in->at_end && kt_decoder_inside(in->decoder))
            return kt_fail(err, KT_E_FORMAT, "%s: ends in the middle of its %s data; it was cut off",
                           in->label, in->codec == KT_CODEC_GZIP ? "gzip" : "zstd");
        *got += made;
    }
    return KT_OK;
}

enum kt_status kt_input_read(struct kt_input *in, void *to, size_t nbytes, size_t *got, struct kt_error *err)
{
    enum kt_status status =
        in->decoder ? read_packed(in, to, nbytes, got, err) : read_plain(in, to, nbytes, got, err);
    if (status == KT_OK && *got < nbytes)
        status = check_unchanged(in, err);
    return status;
}

bool kt_input_jump(struct kt_input *in, uint64_t at)
{
    if (in->decoder || !S_ISREG(in->opened.st_mode) || at > (uint64_t)in->opened.st_size)
        return false;
    if (lseek(in->fd, (off_t)at, SEEK_SET) < 0)
        return false;
    if (in->done)
        atomic_fetch_add_explicit(in->done, at - in->raw_at, memory_order_relaxed);
    in->rest = kt_span_of(NULL, 0);
    in->raw_at = at;
    in->at_end = false;
    return true;
}

static enum kt_status look_inside(struct kt_input *in, bool decode, struct kt_error *err)
{
    if (fstat(in->fd, &in->opened) != 0)
        return kt_fail(err, KT_E_IO, "%s: %s", in->label, strerror(errno));
    posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* an advice; pipes refuse it */
    if (!decode)
        return KT_OK;
    enum kt_status status = fill_raw(in, KT_MAGIC_PEEK_NBYTES, err);
    if (status != KT_OK)
        return status;
    in->codec = kt_magic_codec(in->rest);
    if (in->codec == KT_CODEC_NONE)
        return KT_OK;
    in->decoder = kt_decoder_new(in->codec);
    return in->decoder ? KT_OK : kt_fail(err, KT_E_NOMEM, "%s: memory ran out", in->label);
}

enum kt_status kt_input_open(struct kt_input **out, int fd, const char *label, bool decode,
                             struct kt_region *lent, struct kt_error *err)
{
    *out = NULL;
    struct kt_input *in = calloc(1, sizeof *in);
    if (!in) {
        close(fd);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    }
    *in = (struct kt_input){.fd = fd, .label = strdup(label)};
    in->raw = lent ? lent : &in->own;
    enum kt_status status;
    if (!in->label || kt_region_reserve(in->raw, RAW_NBYTES) != KT_OK)
        status = kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    else
        status = look_inside(in, decode, err);
    if (status != KT_OK) {
        kt_input_close(in);
        return status;
    }
    *out = in;
    return KT_OK;
}

void kt_input_close(struct kt_input *in)
{
    if (!in)
        return;
    kt_decoder_free(in->decoder);
    close(in->fd);
    free(in->label);
    kt_region_free(&in->own);
    free(in);
}

void kt_input_share(struct kt_input *in, _Atomic uint64_t *done, const atomic_bool *stop)
{
    in->done = done;
    in->stop = stop;
    atomic_fetch_add_explicit(done, in->raw_at, memory_order_relaxed);
}

enum kt_codec kt_input_codec(const struct kt_input *in)
{
    return in->codec;
}

const char *kt_input_label(const struct kt_input *in)
{
    return in->label;
}

const struct stat *kt_input_stat(const struct kt_input *in)
{
    return &in->opened;
}
