/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "io/file/feed.h"
#include "tests/io/io_support.h"

TestSuite(feed, .fini = kt_tmp_remove);

static void open_feed(struct kt_feed *feed, const void *data, size_t n)
{
    const char *path = kt_tmp_path("feed");
    kt_write_file(path, data, n);
    struct kt_input *in;
    cr_assert_eq(kt_input_open(&in, open(path, O_RDONLY), path, true, NULL, NULL), KT_OK);
    kt_feed_open(feed, in);
}

static const uint8_t mark[4] = {0xff, 0xff, 0xff, 0xff};

/* Documents of 5 bytes to 200 KB, read with pieces of many sizes, come out whole and in order. */
Test(feed, whole_documents_in_any_piece_size)
{
    struct kt_buf all = {0};
    for (uint32_t i = 0; i < 60; i++) {
        struct kt_buf one = kt_documents(1, i * i * i);
        cr_assert_eq(kt_buf_append(&all, one.data, one.nbytes), KT_OK);
        cr_assert_eq(kt_buf_append(&all, "\5\0\0\0\0", 5), KT_OK);
        kt_buf_free(&one);
    }
    static const size_t wants[] = {0, 1, 5, 6, 100, 4096, 65536, 100000, 1 << 22};
    for (size_t w = 0; w < sizeof wants / sizeof *wants; w++) {
        struct kt_feed feed;
        struct kt_region region = {0};
        open_feed(&feed, all.data, all.nbytes);
        size_t at = 0, nbytes;
        enum kt_feed_stop stop = KT_FEED_FULL;
        struct kt_error err;
        while (stop != KT_FEED_END) {
            cr_assert_eq(kt_feed_docs(&feed, wants[w], &region, &nbytes, &stop, "", &err), KT_OK, "%s",
                         err.message);
            cr_assert(memcmp(region.data, all.data + at, nbytes) == 0);
            bool single = nbytes >= 4 && kt_load_le32(region.data) == nbytes;
            cr_assert(nbytes <= wants[w] || single, "%zu bytes where %zu were wanted", nbytes, wants[w]);
            at += nbytes;
            cr_assert_eq(feed.at, at);
        }
        cr_assert_eq(at, all.nbytes);
        kt_feed_close(&feed);
        kt_region_free(&region);
    }
    kt_buf_free(&all);
}

static void expect_broken(const void *data, size_t n, const char *where, const char *what)
{
    struct kt_feed feed;
    struct kt_region region = {0};
    struct kt_error err;
    size_t nbytes;
    enum kt_feed_stop stop = KT_FEED_FULL;
    enum kt_status status = KT_OK;
    open_feed(&feed, data, n);
    while (status == KT_OK && stop != KT_FEED_END)
        status = kt_feed_docs(&feed, 1000, &region, &nbytes, &stop, "db.coll", &err);
    cr_assert_eq(status, KT_E_FORMAT, "%s", what);
    cr_assert(strstr(err.message, "/feed: db.coll: ") && strstr(err.message, where) &&
                  strstr(err.message, what),
              "%s", err.message);
    kt_feed_close(&feed);
    kt_region_free(&region);
}

Test(feed, lies_about_lengths)
{
    struct kt_buf docs = kt_documents(4, 11); /* 33 bytes each */
    uint8_t *third = docs.data + 66;
    static const uint32_t no_lengths[] = {0,          1,          4,          KT_DOC_READ_MAX_NBYTES + 1,
                                          0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    cr_assert_eq(docs.nbytes, 4 * 33u);
    for (size_t i = 0; i < sizeof no_lengths / sizeof *no_lengths; i++) {
        kt_store_le32(third, no_lengths[i]);
        expect_broken(docs.data, docs.nbytes, "byte 66:", "is no length of a BSON document");
    }
    kt_store_le32(third, 31);
    expect_broken(docs.data, docs.nbytes, "byte 66:", "of 31 bytes here does not end in a zero byte");
    kt_store_le32(third, 67);
    expect_broken(docs.data, docs.nbytes, "byte 66:", "1 bytes of it are missing");
    kt_store_le32(third, KT_DOC_READ_MAX_NBYTES);
    expect_broken(docs.data, docs.nbytes, "byte 66:", "cut off");
    kt_store_le32(third, 33);
    third[32] = 1;
    expect_broken(docs.data, docs.nbytes, "byte 66:", "zero byte");
    kt_buf_free(&docs);
}

Test(feed, cut_off_at_every_byte)
{
    struct kt_buf docs = kt_documents(3, 11);
    for (size_t n = 1; n < docs.nbytes; n++) {
        if (n % 33 == 0)
            continue;
        char where[32];
        snprintf(where, sizeof where, "byte %zu:", n / 33 * 33);
        expect_broken(docs.data, n, where, n % 33 < 4 ? "left over" : "cut off");
    }
    kt_buf_free(&docs);
}

/* Runs between terminators, of which some are empty. */
Test(feed, marks)
{
    struct kt_buf docs = kt_documents(3, 11), all = {0};
    static const unsigned runs[] = {1, 0, 3, 0, 0, 2};
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(kt_buf_append(&all, docs.data, runs[i] * 33), KT_OK);
        cr_assert_eq(kt_buf_append(&all, mark, 4), KT_OK);
    }
    struct kt_feed feed;
    struct kt_region region = {0};
    struct kt_error err;
    size_t nbytes;
    enum kt_feed_stop stop;
    open_feed(&feed, all.data, all.nbytes);
    feed.marks = true;
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(kt_feed_docs(&feed, 4096, &region, &nbytes, &stop, "", &err), KT_OK, "%s", err.message);
        cr_assert_eq(stop, KT_FEED_MARK);
        cr_assert_eq(nbytes, runs[i] * 33);
        cr_assert(memcmp(region.data, docs.data, nbytes) == 0);
    }
    cr_assert_eq(kt_feed_docs(&feed, 4096, &region, &nbytes, &stop, "", &err), KT_OK);
    cr_assert_eq(stop, KT_FEED_END);
    cr_assert_eq(nbytes, 0u);
    cr_assert_eq(feed.at, all.nbytes);
    kt_feed_close(&feed);
    kt_region_free(&region);
    kt_buf_free(&all);
    kt_buf_free(&docs);
}

/* The sum over what was handed out does not depend on how it was asked for. */
Test(feed, sums_of_a_pipe)
{
    struct kt_buf docs = kt_documents(500, 301);
    static const size_t steps[] = {1, 999, 77777, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        struct kt_feed feed;
        struct kt_region region = {0};
        size_t nbytes;
        enum kt_feed_stop stop = KT_FEED_FULL;
        open_feed(&feed, docs.data, docs.nbytes);
        feed.sums = true;
        cr_assert_eq(kt_feed_skip(&feed, 0, NULL), KT_OK);
        for (unsigned turn = 0; stop != KT_FEED_END; turn++) {
            enum kt_status status = i == 0 || turn % 2
                                        ? kt_feed_docs(&feed, steps[i], &region, &nbytes, &stop, "", NULL)
                                        : kt_feed_bytes(&feed, 323, &region, &nbytes, &stop, NULL);
            cr_assert_eq(status, KT_OK);
            cr_assert_eq(feed.crc, kt_crc64(0, docs.data, (size_t)feed.at));
        }
        cr_assert_eq(feed.at, docs.nbytes);
        kt_feed_close(&feed);
        kt_region_free(&region);
    }
    kt_buf_free(&docs);
}

Test(feed, skip)
{
    struct kt_buf docs = kt_documents(500, 300);
    for (enum kt_codec codec = KT_CODEC_NONE; codec <= KT_CODEC_ZSTD; codec++) {
        struct kt_buf packed = kt_pack(kt_span_of(docs.data, docs.nbytes), codec);
        struct kt_feed feed;
        struct kt_region region = {0};
        struct kt_error err;
        size_t nbytes;
        enum kt_feed_stop stop;
        open_feed(&feed, packed.data, packed.nbytes);
        cr_assert_eq(kt_feed_skip(&feed, 100000, &err), KT_OK, "%s", err.message);
        cr_assert_eq(kt_feed_bytes(&feed, 50, &region, &nbytes, &stop, &err), KT_OK);
        cr_assert(memcmp(region.data, docs.data + 100000, 50) == 0);
        cr_assert_eq(kt_feed_skip(&feed, docs.nbytes, &err), KT_OK);
        cr_assert_eq(kt_feed_docs(&feed, 50, &region, &nbytes, &stop, "", &err), KT_OK);
        cr_assert_eq(stop, KT_FEED_END);
        kt_feed_close(&feed);
        open_feed(&feed, packed.data, packed.nbytes);
        cr_assert_eq(kt_feed_skip(&feed, docs.nbytes + 1, &err), KT_E_OTHER_JOB);
        kt_feed_close(&feed);
        kt_region_free(&region);
        kt_buf_free(&packed);
    }
    kt_buf_free(&docs);
}
