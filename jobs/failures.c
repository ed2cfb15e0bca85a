/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/failures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/job.h"

struct kt_failures_file {
    char *name;
    int fd;
    uint64_t nbytes;
};

/* {"_id": value} as a document of its own, so that libbson can print it. false: no _id. */
static bool id_document(const uint8_t *arena, const struct kt_doc *doc, bson_t *out)
{
    struct kt_span value;
    uint8_t type = kt_doc_id(arena, doc->at, &value);
    if (!type)
        return false;
    struct kt_buf raw = {0};
    uint8_t head[9] = {0, 0, 0, 0, type, '_', 'i', 'd', 0};
    kt_store_le32(head, (uint32_t)(sizeof head + value.nbytes + 1));
    bool ok = kt_buf_append(&raw, head, sizeof head) == KT_OK &&
              kt_buf_append(&raw, value.data, value.nbytes) == KT_OK && kt_buf_append(&raw, "", 1) == KT_OK;
    bson_t view;
    ok = ok && bson_init_static(&view, raw.data, raw.nbytes);
    if (ok)
        bson_copy_to(&view, out);
    kt_buf_free(&raw);
    return ok;
}

void kt_doc_id_text(const uint8_t *arena, const struct kt_doc *doc, char *out, size_t nbytes)
{
    bson_t id;
    bson_iter_t iter;
    if (!id_document(arena, doc, &id)) {
        snprintf(out, nbytes, "(none)");
        return;
    }
    char *json = NULL;
    if (bson_iter_init_find(&iter, &id, "_id") && BSON_ITER_HOLDS_OID(&iter)) {
        char hex[25];
        bson_oid_to_string(bson_iter_oid(&iter), hex);
        snprintf(out, nbytes, "%s", hex);
    } else if ((json = bson_as_relaxed_extended_json(&id, NULL))) {
        /* { "_id" : X } */
        size_t n = strlen(json);
        snprintf(out, nbytes, "%.*s", n > 12 ? (int)(n - 12) : 0, json + 10);
    } else {
        snprintf(out, nbytes, "(unreadable)");
    }
    bson_free(json);
    bson_destroy(&id);
}

static enum kt_status append_line(struct kt_job_batch *batch, const struct kt_doc *doc, uint32_t op,
                                  const char *reason)
{
    bson_t line, id;
    char path[1024] = "";
    if (op != KT_NO_OP)
        kt_op_path(batch->in.data, &batch->ops, doc->op_first, op, path, sizeof path);
    bson_init(&line);
    bool ok = BSON_APPEND_UTF8(&line, "ns", batch->ns->name);
    if (ok && id_document(batch->in.data, doc, &id)) {
        bson_iter_t iter;
        ok = bson_iter_init_find(&iter, &id, "_id") && bson_append_iter(&line, "_id", -1, &iter);
        bson_destroy(&id);
    }
    if (ok && op != KT_NO_OP)
        ok = BSON_APPEND_UTF8(&line, "path", path);
    ok = ok && BSON_APPEND_UTF8(&line, "reason", reason);
    size_t nbytes = 0;
    char *json = ok ? bson_as_canonical_extended_json(&line, &nbytes) : NULL;
    enum kt_status status = json ? kt_buf_append(&batch->failures, json, nbytes) : KT_E_NOMEM;
    if (status == KT_OK)
        status = kt_buf_append(&batch->failures, "\n", 1);
    bson_free(json);
    bson_destroy(&line);
    return status;
}

enum kt_status kt_batch_note(struct kt_job_batch *batch, const struct kt_doc *doc, uint32_t op,
                             const char *fmt, ...)
{
    char reason[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    return append_line(batch, doc, op, reason);
}

enum kt_status kt_batch_fail_doc(struct kt_job_batch *batch, struct kt_doc *doc, uint32_t op, const char *fmt,
                                 ...)
{
    if (doc->failed)
        return KT_OK;
    doc->failed = true;
    char reason[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    return append_line(batch, doc, op, reason);
}

static enum kt_status file_error(const struct kt_failures_file *file, struct kt_error *err)
{
    return kt_fail(err, KT_E_IO, "%s: the list of failed documents cannot be written: %s", file->name,
                   strerror(errno));
}

static char *name_for(const struct kt_failures *failures, const char *ns)
{
    char *name = NULL;
    if (failures->named)
        return strdup(failures->named);
    /* A namespace may hold any byte but NUL: what a file name cannot hold becomes '_'. */
    if (asprintf(&name, "%s-failed.ndjson", ns) < 0)
        return NULL;
    for (char *p = name; *p; p++)
        if (*p == '/')
            *p = '_';
    return name;
}

bool kt_failures_overwrite(const struct kt_failures *failures, const char *ns, const char *file)
{
    struct stat mine, other;
    char *name = name_for(failures, ns);
    bool same = name && stat(name, &mine) == 0 && stat(file, &other) == 0 && mine.st_dev == other.st_dev &&
                mine.st_ino == other.st_ino;
    free(name);
    return same;
}

static enum kt_status open_file(struct kt_failures *failures, char *name, uint64_t keep_nbytes,
                                struct kt_failures_file **out, struct kt_error *err)
{
    struct kt_failures_file *files =
        realloc(failures->files, (failures->count + 1) * sizeof *failures->files);
    if (!files) {
        free(name);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    failures->files = files;
    struct kt_failures_file *file = &files[failures->count++];
    *file = (struct kt_failures_file){.name = name, .nbytes = keep_nbytes};
    file->fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file->fd < 0 || ftruncate(file->fd, (off_t)keep_nbytes) != 0 ||
        lseek(file->fd, (off_t)keep_nbytes, SEEK_SET) < 0)
        return file_error(file, err);
    *out = file;
    return KT_OK;
}

static enum kt_status file_of(struct kt_failures *failures, const char *ns, struct kt_failures_file **out,
                              struct kt_error *err)
{
    char *name = name_for(failures, ns);
    if (!name)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < failures->count; i++) {
        if (strcmp(failures->files[i].name, name) == 0) {
            free(name);
            *out = &failures->files[i];
            return KT_OK;
        }
    }
    return open_file(failures, name, 0, out, err);
}

enum kt_status kt_failures_put(struct kt_failures *failures, const char *ns, struct kt_span lines,
                               struct kt_error *err)
{
    struct kt_failures_file *file;
    if (lines.nbytes == 0)
        return KT_OK;
    enum kt_status status = file_of(failures, ns, &file, err);
    if (status != KT_OK)
        return status;
    for (size_t at = 0; at < lines.nbytes;) {
        ssize_t n = write(file->fd, lines.data + at, lines.nbytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(file, err);
        at += (size_t)n;
    }
    file->nbytes += lines.nbytes;
    return KT_OK;
}

enum kt_status kt_failures_save(struct kt_failures *failures, bson_t *out, struct kt_error *err)
{
    bson_t list, item;
    bool ok = BSON_APPEND_ARRAY_BEGIN(out, "failures", &list);
    for (size_t i = 0; ok && i < failures->count; i++) {
        char number[16];
        const char *key;
        if (fdatasync(failures->files[i].fd) != 0 && errno != EINVAL && errno != EROFS)
            return file_error(&failures->files[i], err);
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        ok = BSON_APPEND_DOCUMENT_BEGIN(&list, key, &item) &&
             BSON_APPEND_UTF8(&item, "name", failures->files[i].name) &&
             BSON_APPEND_INT64(&item, "nbytes", (int64_t)failures->files[i].nbytes) &&
             bson_append_document_end(&list, &item);
    }
    ok = ok && bson_append_array_end(out, &list);
    return ok ? KT_OK : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

enum kt_status kt_failures_load(struct kt_failures *failures, const bson_t *doc, struct kt_error *err)
{
    bson_iter_t list, item, field;
    if (!bson_iter_init_find(&list, doc, "failures") || !BSON_ITER_HOLDS_ARRAY(&list) ||
        !bson_iter_recurse(&list, &item))
        return kt_fail(err, KT_E_FORMAT, "the checkpoint is damaged: it lacks the list of failures files");
    while (bson_iter_next(&item)) {
        const char *name = NULL;
        int64_t nbytes = -1;
        if (!BSON_ITER_HOLDS_DOCUMENT(&item) || !bson_iter_recurse(&item, &field))
            continue;
        while (bson_iter_next(&field)) {
            if (BSON_ITER_IS_KEY(&field, "name") && BSON_ITER_HOLDS_UTF8(&field))
                name = bson_iter_utf8(&field, NULL);
            else if (BSON_ITER_IS_KEY(&field, "nbytes") && BSON_ITER_HOLDS_INT64(&field))
                nbytes = bson_iter_int64(&field);
        }
        struct kt_failures_file *file;
        char *copy = name && nbytes >= 0 ? strdup(name) : NULL;
        if (!copy)
            return kt_fail(err, KT_E_FORMAT,
                           "the checkpoint is damaged: a failures file has no name or length");
        enum kt_status status = open_file(failures, copy, (uint64_t)nbytes, &file, err);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

enum kt_status kt_failures_finish(struct kt_failures *failures, struct kt_error *err)
{
    for (size_t i = 0; i < failures->count; i++) {
        struct kt_failures_file *file = &failures->files[i];
        int failed = fdatasync(file->fd) != 0 && errno != EINVAL && errno != EROFS;
        if (close(file->fd) != 0 || failed) {
            file->fd = -1;
            return file_error(file, err);
        }
        file->fd = -1;
    }
    return KT_OK;
}

const char *kt_failures_first_name(const struct kt_failures *failures)
{
    return failures->count ? failures->files[0].name : NULL;
}

void kt_failures_free(struct kt_failures *failures)
{
    for (size_t i = 0; i < failures->count; i++) {
        if (failures->files[i].fd >= 0)
            close(failures->files[i].fd);
        free(failures->files[i].name);
    }
    free(failures->files);
    *failures = (struct kt_failures){0};
}
