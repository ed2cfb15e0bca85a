/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/feed.h"

#include <inttypes.h>

#include "io/file/crc64.h"

/* Read at least this much at once, also for a single small header. */
#define READ_NBYTES ((size_t)64 << 10)
#define MARK 0xFFFFFFFFu
#define DOC_MIN_NBYTES 5u /* bsonspec.org: int32 length, no element, NUL */

/* A run of whole documents at the front of some bytes. */
struct run {
    size_t nbytes;
    size_t need; /* bytes that the next one takes, if that is known and more than there are; else 0 */
    bool mark;   /* a terminator follows */
};

void kt_feed_open(struct kt_feed *feed, struct kt_input *in)
{
    *feed = (struct kt_feed){.in = in, .sums = !S_ISREG(kt_input_stat(in)->st_mode)};
}

void kt_feed_close(struct kt_feed *feed)
{
    kt_input_close(feed->in); /* NULL is accepted */
    kt_region_free(&feed->carry);
    *feed = (struct kt_feed){0};
}

static enum kt_status broken(const struct kt_feed *feed, const char *who, uint64_t at, const char *what,
                             int64_t n, struct kt_error *err)
{
    char text[96];
    snprintf(text, sizeof text, what, n);
    return kt_fail(err, KT_E_FORMAT, "%s%s%s: byte %" PRIu64 ": %s", kt_input_label(feed->in),
                   *who ? ": " : "", who, at, text);
}

/* Goes on with run, which describes bytes, until it holds want bytes or what comes next is not whole. */
static enum kt_status scan(const struct kt_feed *feed, const uint8_t *bytes, size_t nbytes, size_t want,
                           struct run *run, const char *who, struct kt_error *err)
{
    run->need = 0;
    while (nbytes - run->nbytes >= 4 && run->nbytes < want) {
        const uint8_t *doc = bytes + run->nbytes;
        uint32_t length = kt_load_le32(doc);
        if (length == MARK && feed->marks) {
            run->mark = true;
            return KT_OK;
        }
        if (length < DOC_MIN_NBYTES || length > KT_DOC_READ_MAX_NBYTES)
            return broken(feed, who, feed->at + run->nbytes,
                          "%" PRId64 " is no length of a BSON document (5 bytes to 16 MiB)", (int32_t)length,
                          err);
        if (run->nbytes > 0 && run->nbytes + length > want)
            return KT_OK;
        if (nbytes - run->nbytes < length) {
            run->need = length;
            return KT_OK;
        }
        if (doc[length - 1] != 0)
            return broken(feed, who, feed->at + run->nbytes,
                          "the BSON document of %" PRId64 " bytes here does not end in a zero byte",
                          (int32_t)length, err);
        run->nbytes += length;
    }
    return KT_OK;
}

static void use_up(struct kt_feed *feed, const uint8_t *bytes, const struct run *run)
{
    size_t n = run->nbytes + (run->mark ? 4 : 0);
    if (feed->sums)
        feed->crc = kt_crc64(feed->crc, bytes, n);
    feed->at += n;
}

static enum kt_status keep_rest(struct kt_feed *feed, struct kt_span rest)
{
    enum kt_status status = kt_region_reserve(&feed->carry, rest.nbytes);
    if (status != KT_OK)
        return status;
    if (rest.nbytes > 0)
        memcpy(feed->carry.data, rest.data, rest.nbytes);
    feed->carry_at = 0;
    feed->carry_nbytes = rest.nbytes;
    return KT_OK;
}

static struct kt_span carried(const struct kt_feed *feed)
{
    return kt_span_skip(kt_span_of(feed->carry.data, feed->carry_at + feed->carry_nbytes), feed->carry_at);
}

static void take_carry(struct kt_feed *feed, uint8_t *to, size_t nbytes)
{
    if (nbytes > 0)
        memcpy(to, carried(feed).data, nbytes);
    feed->carry_at += nbytes;
    feed->carry_nbytes -= nbytes;
}

static enum kt_status out_of_memory(const struct kt_feed *feed, struct kt_error *err)
{
    return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", kt_input_label(feed->in));
}

/* Serves from the carry alone when it holds a run; else moves all of it to `into`, for reading on behind. */
static enum kt_status from_carry(struct kt_feed *feed, size_t want, struct kt_region *into, struct run *run,
                                 size_t *filled, const char *who, struct kt_error *err)
{
    const uint8_t *bytes = carried(feed).data;
    enum kt_status status = scan(feed, bytes, feed->carry_nbytes, want, run, who, err);
    if (status != KT_OK)
        return status;
    bool served = run->nbytes > 0 || run->mark;
    size_t n = served ? run->nbytes : feed->carry_nbytes;
    if (kt_region_reserve(into, n) != KT_OK)
        return out_of_memory(feed, err);
    if (served)
        use_up(feed, bytes, run);
    take_carry(feed, into->data, n);
    if (served && run->mark) {
        feed->carry_at += 4;
        feed->carry_nbytes -= 4;
    }
    *filled = n;
    return KT_OK;
}

static enum kt_status cut_off(const struct kt_feed *feed, const struct run *run, size_t filled,
                              const char *who, struct kt_error *err)
{
    if (run->need > 0)
        return broken(feed, who, feed->at,
                      "the last document is cut off: %" PRId64 " bytes of it are missing",
                      (int64_t)(run->need - filled), err);
    return broken(feed, who, feed->at, "%" PRId64 " bytes are left over at the end", (int64_t)filled, err);
}

static enum kt_status finish_run(struct kt_feed *feed, struct kt_region *into, const struct run *run,
                                 size_t filled, size_t *nbytes, enum kt_feed_stop *stop, struct kt_error *err)
{
    use_up(feed, into->data, run);
    size_t used = run->nbytes + (run->mark ? 4 : 0);
    if (keep_rest(feed, kt_span_skip(kt_span_of(into->data, filled), used)) != KT_OK)
        return out_of_memory(feed, err);
    *nbytes = run->nbytes;
    *stop = run->mark ? KT_FEED_MARK : feed->ended && used == filled ? KT_FEED_END : KT_FEED_FULL;
    return KT_OK;
}

enum kt_status kt_feed_docs(struct kt_feed *feed, size_t want, struct kt_region *into, size_t *nbytes,
                            enum kt_feed_stop *stop, const char *who, struct kt_error *err)
{
    struct run run = {0};
    size_t filled = 0;
    want = want ? want : 1;
    enum kt_status status = from_carry(feed, want, into, &run, &filled, who, err);
    if (status != KT_OK)
        return status;
    if (run.nbytes > 0 || run.mark) {
        *nbytes = run.nbytes;
        bool end = feed->ended && feed->carry_nbytes == 0;
        *stop = run.mark ? KT_FEED_MARK : end ? KT_FEED_END : KT_FEED_FULL;
        return KT_OK;
    }
    while (run.nbytes == 0 && !run.mark && !feed->ended) {
        size_t target = want > READ_NBYTES ? want : READ_NBYTES, got;
        target = run.need > target ? run.need : target;
        if (kt_region_reserve(into, target) != KT_OK)
            return out_of_memory(feed, err);
        status = kt_input_read(feed->in, into->data + filled, target - filled, &got, err);
        if (status != KT_OK)
            return status;
        feed->ended = got < target - filled;
        filled += got;
        status = scan(feed, into->data, filled, want, &run, who, err);
        if (status != KT_OK)
            return status;
    }
    if (run.nbytes == 0 && !run.mark && filled > 0)
        return cut_off(feed, &run, filled, who, err);
    return finish_run(feed, into, &run, filled, nbytes, stop, err);
}

enum kt_status kt_feed_bytes(struct kt_feed *feed, size_t want, struct kt_region *into, size_t *nbytes,
                             enum kt_feed_stop *stop, struct kt_error *err)
{
    if (kt_region_reserve(into, want) != KT_OK)
        return out_of_memory(feed, err);
    size_t n = feed->carry_nbytes < want ? feed->carry_nbytes : want, got = 0;
    take_carry(feed, into->data, n);
    if (n < want && !feed->ended) {
        enum kt_status status = kt_input_read(feed->in, into->data + n, want - n, &got, err);
        if (status != KT_OK)
            return status;
        feed->ended = got < want - n;
    }
    *nbytes = n + got;
    use_up(feed, into->data, &(struct run){.nbytes = *nbytes});
    *stop = feed->ended && feed->carry_nbytes == 0 ? KT_FEED_END : KT_FEED_FULL;
    return KT_OK;
}

enum kt_status kt_feed_peek(struct kt_feed *feed, size_t nbytes, struct kt_span *head, struct kt_error *err)
{
    if (kt_region_reserve(&feed->carry, feed->carry_at + READ_NBYTES) != KT_OK)
        return out_of_memory(feed, err);
    uint8_t *from = feed->carry.data + feed->carry_at;
    if (feed->carry_nbytes < nbytes && !feed->ended) {
        size_t got, more = nbytes - feed->carry_nbytes;
        enum kt_status status = kt_input_read(feed->in, from + feed->carry_nbytes, more, &got, err);
        if (status != KT_OK)
            return status;
        feed->ended = got < more;
        feed->carry_nbytes += got;
    }
    *head = kt_span_of(from, feed->carry_nbytes < nbytes ? feed->carry_nbytes : nbytes);
    return KT_OK;
}

enum kt_status kt_feed_skip(struct kt_feed *feed, uint64_t at, struct kt_error *err)
{
    if (kt_input_jump(feed->in, at)) {
        feed->at = at;
        feed->carry_nbytes = 0;
        feed->ended = false;
        return KT_OK;
    }
    struct kt_region scratch = {0};
    enum kt_status status = KT_OK;
    enum kt_feed_stop stop = KT_FEED_FULL;
    while (status == KT_OK && feed->at < at && stop != KT_FEED_END) {
        uint64_t left = at - feed->at;
        size_t nbytes;
        status = kt_feed_bytes(feed, left < READ_NBYTES ? (size_t)left : READ_NBYTES, &scratch, &nbytes,
                               &stop, err);
    }
    kt_region_free(&scratch);
    if (status == KT_OK && feed->at < at)
        status = kt_fail(err, KT_E_OTHER_JOB,
                         "%s: shorter than when this job was stopped; it is not the same input",
                         kt_input_label(feed->in));
    return status;
}
