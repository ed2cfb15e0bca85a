/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/encode.h"

#include <stdlib.h>

#include "io/file/quiet.h"

struct kt_encoder {
    enum kt_codec codec;
    bool inside;
    z_stream z;
    ZSTD_CCtx *zstd;
};

/* Both libraries' default levels, which mongodump and zstd use too. The checksum makes a damaged zstd file
 * known as gzip's does. */
struct kt_encoder *kt_encoder_new(enum kt_codec codec)
{
    struct kt_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->codec = codec;
    kt_quiet_zlib(&e->z);
    bool ok;
    if (codec == KT_CODEC_GZIP)
        ok = deflateInit2(&e->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) ==
             Z_OK;
    else
        ok = (e->zstd = ZSTD_createCCtx_advanced(kt_quiet_zstd)) != NULL &&
             !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_checksumFlag, 1));
    if (ok)
        return e;
    kt_encoder_free(e);
    return NULL;
}

void kt_encoder_free(struct kt_encoder *e)
{
    if (!e)
        return;
    if (e->codec == KT_CODEC_GZIP)
        deflateEnd(&e->z);
    ZSTD_freeCCtx(e->zstd);
    free(e);
}

static enum kt_status gzip_step(struct kt_encoder *e, struct kt_span *bytes, bool end, void *to,
                                size_t nbytes, size_t *made, bool *more, const char *label,
                                struct kt_error *err)
{
    size_t most = nbytes < UINT32_MAX ? nbytes : UINT32_MAX;
    size_t take = bytes->nbytes < UINT32_MAX ? bytes->nbytes : UINT32_MAX;
    e->z.next_in = (Bytef *)bytes->data;
    e->z.avail_in = (uInt)take;
    e->z.next_out = to;
    e->z.avail_out = (uInt)most;
    bool last = end && take == bytes->nbytes;
    int rc = deflate(&e->z, last ? Z_FINISH : Z_NO_FLUSH);
    size_t taken = take - e->z.avail_in;
    *bytes = kt_span_skip(*bytes, taken);
    *made = most - e->z.avail_out;
    *more = end || e->z.avail_out == 0;
    if (rc == Z_STREAM_END) {
        *more = e->inside = false;
        rc = deflateReset(&e->z);
    }
    if (rc == Z_OK || rc == Z_BUF_ERROR) /* the latter: nothing to do this time */
        return KT_OK;
    return kt_fail(err, KT_E_INTERNAL, "%s: zlib failed (%d)", label, rc);
}

static enum kt_status zstd_step(struct kt_encoder *e, struct kt_span *bytes, bool end, void *to,
                                size_t nbytes, size_t *made, bool *more, const char *label,
                                struct kt_error *err)
{
    ZSTD_inBuffer in = {bytes->data, bytes->nbytes, 0};
    ZSTD_outBuffer out = {to, nbytes, 0};
    size_t left = ZSTD_compressStream2(e->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
    *bytes = kt_span_skip(*bytes, in.pos);
    *made = out.pos;
    if (ZSTD_isError(left))
        return kt_fail(err, KT_E_NOMEM, "%s: zstd failed: %s", label, ZSTD_getErrorName(left));
    *more = end ? left > 0 : out.pos == nbytes;
    e->inside = !end || left > 0;
    return KT_OK;
}

enum kt_status kt_encoder_step(struct kt_encoder *e, struct kt_span *bytes, bool end, void *to, size_t nbytes,
                               size_t *made, bool *more, const char *label, struct kt_error *err)
{
    e->inside = true;
    if (e->codec == KT_CODEC_GZIP)
        return gzip_step(e, bytes, end, to, nbytes, made, more, label, err);
    return zstd_step(e, bytes, end, to, nbytes, made, more, label, err);
}

bool kt_encoder_inside(const struct kt_encoder *e)
{
    return e->inside;
}
