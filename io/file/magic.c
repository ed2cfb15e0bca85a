/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/magic.h"

#include <zlib.h>

#define ZSTD_MAGIC 0xFD2FB528u     /* RFC 8878 section 3.1.1 */
#define ZSTD_SKIPPABLE 0x184D2A50u /* RFC 8878 section 3.1.2; the low four bits are free */
#define ARCHIVE_MAGIC 0x8199E26Du

#define GZIP_HEADER_NBYTES 10u /* RFC 1952 section 2.3, without flags */

static bool is_bson_type(uint8_t type)
{
    return (type >= 0x01 && type <= 0x13) || type == 0x7f || type == 0xff;
}

/* Would zlib take this as the start of deflated data? */
static bool inflates(struct kt_span data)
{
    uint8_t sink[1024];
    z_stream z = {.next_in = (Bytef *)data.data, .avail_in = (uInt)data.nbytes};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return true;
    int rc;
    do {
        z.next_out = sink;
        z.avail_out = sizeof sink;
        rc = inflate(&z, Z_NO_FLUSH);
    } while (rc == Z_OK && z.avail_in > 0);
    inflateEnd(&z);
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR;
}

/* RFC 1952 section 2.3: 1f 8b, method 8 (deflate), flags, four bytes of time. With no flags set the first
 * four bytes are the length of a BSON document of 559,903 bytes too. Most writers leave the time 0, where the
 * document would have its first element's type; where it could be one, the data decides. */
static bool is_gzip(struct kt_span head)
{
    const uint8_t *p = head.data;
    if (head.nbytes < 4 || p[0] != 0x1f || p[1] != 0x8b || p[2] != 8)
        return false;
    if (p[3] != 0 || head.nbytes <= GZIP_HEADER_NBYTES || !is_bson_type(p[4]))
        return true;
    return inflates(kt_span_skip(head, GZIP_HEADER_NBYTES));
}

enum kt_codec kt_magic_codec(struct kt_span head)
{
    if (head.nbytes < 4)
        return KT_CODEC_NONE;
    if (is_gzip(head))
        return KT_CODEC_GZIP;
    uint32_t magic = kt_load_le32(head.data);
    if (magic == ZSTD_MAGIC || (magic & ~0xfu) == ZSTD_SKIPPABLE)
        return KT_CODEC_ZSTD;
    return KT_CODEC_NONE;
}

bool kt_magic_is_archive(struct kt_span head)
{
    return head.nbytes >= 4 && kt_load_le32(head.data) == ARCHIVE_MAGIC;
}
