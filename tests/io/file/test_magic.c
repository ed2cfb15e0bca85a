/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "io/file/magic.h"
#include "tests/io/io_support.h"

static enum kt_codec codec_of(const void *bytes, size_t n)
{
    return kt_magic_codec(kt_span_of(bytes, n));
}

Test(magic, known_ones)
{
    cr_assert_eq(codec_of("\x1f\x8b\x08\x08rest", 8), KT_CODEC_GZIP);
    cr_assert_eq(codec_of("\x28\xb5\x2f\xfdrest", 8), KT_CODEC_ZSTD);
    cr_assert_eq(codec_of("\x50\x2a\x4d\x18rest", 8), KT_CODEC_ZSTD, "a skippable frame comes first");
    cr_assert_eq(codec_of("\x5f\x2a\x4d\x18rest", 8), KT_CODEC_ZSTD);
    cr_assert_eq(codec_of("\x05\0\0\0\0", 5), KT_CODEC_NONE);
    cr_assert_eq(codec_of("\x1f\x8b", 2), KT_CODEC_NONE);
    cr_assert_eq(codec_of("", 0), KT_CODEC_NONE);
    cr_assert(kt_magic_is_archive(kt_span_of("\x6d\xe2\x99\x81", 4)));
    cr_assert_not(kt_magic_is_archive(kt_span_of("\x6d\xe2\x99", 3)));
    cr_assert_not(kt_magic_is_archive(kt_span_of("\x81\x99\xe2\x6d", 4)));
}

/* Go's and zlib's gzip set no flags, so that the magic reads as a length of 559,903 too. */
Test(magic, a_document_as_long_as_the_gzip_magic)
{
    const size_t length = 0x00088b1f;
    static const char *const starts[] = {"\x07_id",
                                         "\x10_id",
                                         "\x02name",
                                         "\x03"
                                         "a",
                                         "\x05"
                                         "data",
                                         "\x01x"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        uint8_t *doc = calloc(1, length);
        cr_assert(doc);
        kt_store_le32(doc, (uint32_t)length);
        size_t n = strlen(starts[i]);
        memcpy(doc + 4, starts[i], n);
        for (size_t k = 4 + n + 1; k < length - 1; k++)
            doc[k] = (uint8_t)(k * 31 + i * 17 + (k >> 8));
        cr_assert_eq(codec_of(doc, KT_MAGIC_PEEK_NBYTES), KT_CODEC_NONE, "start %zu", i);
        free(doc);
    }
}

Test(magic, gzip_without_flags_in_all_sizes)
{
    for (uint32_t n = 0; n < 200; n += 9) {
        struct kt_buf docs = kt_documents(n, n),
                      packed = kt_pack(kt_span_of(docs.data, docs.nbytes), KT_CODEC_GZIP);
        cr_assert_eq(packed.data[3], 0);
        packed.data[4] = 0x10; /* a time, read as a BSON type */
        size_t head = packed.nbytes < KT_MAGIC_PEEK_NBYTES ? packed.nbytes : KT_MAGIC_PEEK_NBYTES;
        cr_assert_eq(codec_of(packed.data, head), KT_CODEC_GZIP, "%u documents", n);
        kt_buf_free(&docs);
        kt_buf_free(&packed);
    }
}
