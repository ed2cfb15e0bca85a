/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of failures in the checkpoint of a file job. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "jobs/failures_private.h"

enum kt_status kt_failures_changed(const struct kt_failures_file *file, struct kt_error *err)
{
    return kt_fail(err, KT_E_OTHER_JOB,
                   "%s is not as the unfinished job left it; put that list back, or begin anew with --forget",
                   file->name);
}

static bool save_file(const struct kt_failures_file *file, bson_t *list, uint32_t i)
{
    char number[16];
    const char *key;
    bson_t item;
    bson_uint32_to_string(i, &key, number, sizeof number);
    return BSON_APPEND_DOCUMENT_BEGIN(list, key, &item) && BSON_APPEND_UTF8(&item, "name", file->name) &&
           BSON_APPEND_INT64(&item, "nbytes", (int64_t)file->nbytes) &&
           BSON_APPEND_INT64(&item, "crc64", (int64_t)file->crc) && bson_append_document_end(list, &item);
}

enum kt_status kt_failures_save(struct kt_failures *failures, bson_t *out, struct kt_error *err)
{
    bson_t list;
    bool ok = BSON_APPEND_UTF8(out, "failuresNamed", failures->named ? failures->named : "") &&
              BSON_APPEND_ARRAY_BEGIN(out, "failures", &list);
    for (size_t i = 0; ok && i < failures->count; i++) {
        enum kt_status status = kt_failures_sync_bytes(&failures->files[i], err);
        if (status != KT_OK)
            return status;
        ok = save_file(&failures->files[i], &list, (uint32_t)i);
    }
    ok = ok && bson_append_array_end(out, &list);
    return ok ? KT_OK : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

/* One job's failures stand in one place. */
static enum kt_status same_place(const struct kt_failures *failures, const bson_t *doc, const char *file,
                                 struct kt_error *err)
{
    bson_iter_t iter;
    const char *named = failures->named ? failures->named : "";
    const char *then = bson_iter_init_find(&iter, doc, "failuresNamed") ? bson_iter_utf8(&iter, NULL) : named;
    if (then && strcmp(named, then) == 0)
        return KT_OK;
    return kt_fail(err, KT_E_OTHER_JOB,
                   "the unfinished job lists its failures in %s; go on %s%s, or begin anew with --forget",
                   file, then && *then ? "with --failures " : "without --failures",
                   then && *then ? then : "");
}

/* What a pipe or a device has taken cannot be looked at again. */
static enum kt_status same_content(const struct kt_failures_file *file, struct kt_error *err)
{
    uint8_t bytes[1 << 14];
    uint64_t at = 0, crc = 0;
    struct stat st;
    if (fstat(file->fd, &st) == 0 && !S_ISREG(st.st_mode))
        return KT_OK;
    while (at < file->nbytes) {
        uint64_t left = file->nbytes - at;
        ssize_t n = pread(file->fd, bytes, left < sizeof bytes ? left : sizeof bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kt_failures_error(file, err);
        if (n == 0)
            return kt_failures_changed(file, err);
        crc = kt_crc64(crc, bytes, (size_t)n);
        at += (uint64_t)n;
    }
    return crc == file->crc ? KT_OK : kt_failures_changed(file, err);
}

/* false: the checkpoint does not say all. name points into it. */
static bool read_item(const bson_iter_t *item, const char **name, struct kt_failures_file *file)
{
    bson_iter_t field;
    int seen = 0;
    if (!BSON_ITER_HOLDS_DOCUMENT(item) || !bson_iter_recurse(item, &field))
        return false;
    while (bson_iter_next(&field)) {
        bool number = BSON_ITER_HOLDS_INT64(&field);
        seen++;
        if (BSON_ITER_IS_KEY(&field, "name") && BSON_ITER_HOLDS_UTF8(&field))
            *name = bson_iter_utf8(&field, NULL);
        else if (BSON_ITER_IS_KEY(&field, "nbytes") && number && bson_iter_int64(&field) >= 0)
            file->nbytes = (uint64_t)bson_iter_int64(&field);
        else if (BSON_ITER_IS_KEY(&field, "crc64") && number)
            file->crc = (uint64_t)bson_iter_int64(&field);
        else
            return false;
    }
    return seen == 3 && *name;
}

static enum kt_status load_file(struct kt_failures *failures, const bson_t *doc, const bson_iter_t *item,
                                struct kt_error *err)
{
    struct kt_failures_file then = {0}, *file;
    const char *name = NULL;
    if (!read_item(item, &name, &then))
        return kt_fail(err, KT_E_FORMAT,
                       "the checkpoint is damaged: a failures file has no name, length or checksum");
    enum kt_status status = same_place(failures, doc, name, err);
    char *copy = status == KT_OK ? strdup(name) : NULL;
    if (status == KT_OK && !copy)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (status == KT_OK)
        status = kt_failures_open(failures, copy, true, &file, err);
    if (status != KT_OK)
        return status;
    file->nbytes = then.nbytes;
    file->crc = then.crc;
    return same_content(file, err);
}

enum kt_status kt_failures_load(struct kt_failures *failures, const bson_t *doc, struct kt_error *err)
{
    bson_iter_t list, item;
    enum kt_status status = KT_OK;
    if (!bson_iter_init_find(&list, doc, "failures") || !BSON_ITER_HOLDS_ARRAY(&list) ||
        !bson_iter_recurse(&list, &item))
        return kt_fail(err, KT_E_FORMAT, "the checkpoint is damaged: it lacks the list of failures files");
    while (status == KT_OK && bson_iter_next(&item))
        status = load_file(failures, doc, &item, err);
    /* All are looked at before any is cut. */
    for (size_t i = 0; status == KT_OK && i < failures->count; i++)
        status = kt_failures_cut(&failures->files[i], err);
    return status;
}
