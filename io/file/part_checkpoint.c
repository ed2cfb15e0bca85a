/* SPDX-License-Identifier: Apache-2.0 */
/* NAME.part.checkpoint: one BSON document and the CRC-64 of its bytes. A new one is written beside it and
 * takes its place by rename, so that one of the two is whole at any instant. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "io/file/output.h"
#include "io/file/part.h"

#define CHECKPOINT_MAX_NBYTES ((off_t)256 << 20)

static enum kt_status cannot_store(const struct kt_part *part, struct kt_error *err)
{
    return kt_fail(err, errno == ENOMEM ? KT_E_NOMEM : KT_E_IO, "%s.checkpoint: cannot be written: %s",
                   part->label, strerror(errno));
}

static enum kt_status write_new(struct kt_part *part, const bson_t *doc, struct kt_error *err)
{
    int fd = openat(part->parent, part->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cannot_store(part, err);
    struct kt_output *out;
    enum kt_status status = kt_output_open(&out, fd, 0, KT_CODEC_NONE, part->fresh, NULL, err);
    if (status != KT_OK)
        return status;
    uint8_t sum[8];
    uint64_t at;
    kt_store_le64(sum, kt_crc64(0, bson_get_data(doc), doc->len));
    status = kt_output_write(out, kt_span_of(bson_get_data(doc), doc->len), err);
    if (status == KT_OK)
        status = kt_output_write(out, kt_span_of(sum, sizeof sum), err);
    if (status == KT_OK)
        status = kt_output_cut(out, &at, err);
    if (status == KT_OK)
        status = kt_output_sync(out, err);
    if (status != KT_OK) {
        kt_output_abandon(out);
        return status;
    }
    return kt_output_finish(out, err);
}

enum kt_status kt_part_store(struct kt_part *part, const bson_t *doc, struct kt_error *err)
{
    enum kt_status status = write_new(part, doc, err);
    if (status == KT_OK && renameat(part->parent, part->fresh, part->parent, part->checkpoint) != 0)
        status = cannot_store(part, err);
    if (status == KT_OK && fsync(part->parent) != 0 && errno != EINVAL)
        status = cannot_store(part, err);
    if (status != KT_OK)
        unlinkat(part->parent, part->fresh, 0);
    return status;
}

static enum kt_status damaged(const struct kt_part *part, struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "%s.checkpoint: damaged; remove it and %s to begin anew", part->label,
                   part->label);
}

static enum kt_status read_stored(struct kt_part *part, int fd, bson_t **doc, struct kt_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return kt_fail(err, KT_E_IO, "%s.checkpoint: %s", part->label, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size < 5 + 8 || st.st_size > CHECKPOINT_MAX_NBYTES)
        return damaged(part, err);
    size_t n = (size_t)st.st_size;
    uint8_t *bytes = malloc(n);
    if (!bytes)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", part->label);
    size_t got = 0;
    ssize_t r = 1;
    while (got < n && (r = read(fd, bytes + got, n - got)) > 0)
        got += (size_t)r;
    bool whole = got == n && kt_load_le64(bytes + n - 8) == kt_crc64(0, bytes, n - 8);
    *doc = whole ? bson_new_from_data(bytes, n - 8) : NULL;
    free(bytes);
    if (r < 0)
        return kt_fail(err, KT_E_IO, "%s.checkpoint: %s", part->label, strerror(errno));
    return *doc ? KT_OK : damaged(part, err);
}

enum kt_status kt_part_load(struct kt_part *part, bson_t **doc, struct kt_error *err)
{
    *doc = NULL;
    int fd = openat(part->parent, part->checkpoint, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return KT_OK;
    if (fd < 0)
        return kt_fail(err, KT_E_IO, "%s.checkpoint: cannot be read: %s", part->label, strerror(errno));
    enum kt_status status = read_stored(part, fd, doc, err);
    close(fd);
    return status;
}
