/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/decode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd_errors.h>

#include "io/file/quiet.h"

/* 128 MiB, what `zstd -d` accepts without being asked (--long=27); also libzstd's own default. */
#define ZSTD_WINDOW_LOG_MAX 27

struct kt_decoder {
    enum kt_codec codec;
    bool inside; /* a member or frame has begun and not ended */
    z_stream z;
    ZSTD_DCtx *zstd;
};

struct kt_decoder *kt_decoder_new(enum kt_codec codec)
{
    struct kt_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->codec = codec;
    kt_quiet_zlib(&d->z);
    bool ok;
    if (codec == KT_CODEC_GZIP)
        ok = inflateInit2(&d->z, MAX_WBITS + 16) == Z_OK;
    else
        ok = (d->zstd = ZSTD_createDCtx_advanced(kt_quiet_zstd)) != NULL &&
             !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
    if (ok)
        return d;
    kt_decoder_free(d);
    return NULL;
}

void kt_decoder_free(struct kt_decoder *d)
{
    if (!d)
        return;
    if (d->codec == KT_CODEC_GZIP)
        inflateEnd(&d->z);
    ZSTD_freeDCtx(d->zstd);
    free(d);
}

static enum kt_status gzip_step(struct kt_decoder *d, struct kt_span *packed, void *to, size_t nbytes,
                                size_t *made, const char *label, uint64_t at, struct kt_error *err)
{
    if (!d->inside && packed->nbytes > 0 && packed->data[0] != 0x1f)
        return kt_fail(err, KT_E_FORMAT, "%s: byte %" PRIu64 ": what follows the gzip data is no gzip", label,
                       at);
    size_t most = nbytes < UINT32_MAX ? nbytes : UINT32_MAX;
    d->z.next_in = (Bytef *)packed->data;
    d->z.avail_in = (uInt)packed->nbytes;
    d->z.next_out = to;
    d->z.avail_out = (uInt)most;
    d->inside = true;
    int rc = inflate(&d->z, Z_NO_FLUSH);
    *packed = kt_span_of(d->z.next_in, d->z.avail_in);
    *made = most - d->z.avail_out;
    if (rc == Z_STREAM_END) {
        d->inside = false;
        rc = inflateReset(&d->z);
    }
    if (rc == Z_OK || rc == Z_BUF_ERROR) /* the latter: neither input nor output this time */
        return KT_OK;
    if (rc == Z_MEM_ERROR)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    return kt_fail(err, KT_E_FORMAT, "%s: byte %" PRIu64 " or later: broken gzip data: %s", label, at,
                   d->z.msg ? d->z.msg : "no further progress");
}

static enum kt_status zstd_step(struct kt_decoder *d, struct kt_span *packed, void *to, size_t nbytes,
                                size_t *made, const char *label, uint64_t at, struct kt_error *err)
{
    ZSTD_inBuffer in = {packed->data, packed->nbytes, 0};
    ZSTD_outBuffer out = {to, nbytes, 0};
    size_t left = ZSTD_decompressStream(d->zstd, &out, &in);
    *packed = kt_span_skip(*packed, in.pos);
    *made = out.pos;
    if (!ZSTD_isError(left)) {
        d->inside = left != 0;
        return KT_OK;
    }
    ZSTD_ErrorCode code = ZSTD_getErrorCode(left);
    if (code == ZSTD_error_memory_allocation)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
    if (code == ZSTD_error_frameParameter_windowTooLarge)
        return kt_fail(err, KT_E_FORMAT,
                       "%s: byte %" PRIu64 ": this zstd frame needs a window of more than 128 MiB; unpack it "
                       "with zstd --long=31 first",
                       label, at);
    return kt_fail(err, KT_E_FORMAT, "%s: byte %" PRIu64 " or later: broken zstd data: %s", label, at,
                   ZSTD_getErrorName(left));
}

enum kt_status kt_decoder_step(struct kt_decoder *d, struct kt_span *packed, void *to, size_t nbytes,
                               size_t *made, const char *label, uint64_t at, struct kt_error *err)
{
    if (d->codec == KT_CODEC_GZIP)
        return gzip_step(d, packed, to, nbytes, made, label, at, err);
    return zstd_step(d, packed, to, nbytes, made, label, at, err);
}

bool kt_decoder_inside(const struct kt_decoder *d)
{
    return d->inside;
}
