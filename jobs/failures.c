/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/failures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/job.h"
#include "jobs/paths.h"
#include "jobs/sync.h"

struct kt_failures_file {
    char *name;
    int fd;
    uint64_t nbytes;
};

static enum kt_status file_error(const struct kt_failures_file *file, struct kt_error *err)
{
    return kt_fail(err, KT_E_IO, "%s: the list of failed documents cannot be written: %s", file->name,
                   strerror(errno));
}

/* Where the extension begins, or else the end. */
static size_t stem_nbytes(const char *name)
{
    static const char extension[] = ".ndjson";
    size_t nbytes = strlen(name), tail = sizeof extension - 1;
    return nbytes > tail && strcmp(name + nbytes - tail, extension) == 0 ? nbytes - tail : nbytes;
}

/* Partitions run in one folder with the same options, and none may write over another's list. Pipes and
 * devices can be shared. Takes name over. */
static char *of_part(const struct kt_failures *failures, char *name)
{
    struct stat st;
    char *own = NULL;
    if (!name || failures->parts < 2 || (stat(name, &st) == 0 && !S_ISREG(st.st_mode)))
        return name;
    size_t stem = stem_nbytes(name);
    if (asprintf(&own, "%.*s-%d-of-%d%s", (int)stem, name, failures->part, failures->parts, name + stem) < 0)
        own = NULL;
    free(name);
    return own;
}

static char *name_for(const struct kt_failures *failures, const char *ns)
{
    char *name = NULL;
    if (failures->named)
        return of_part(failures, strdup(failures->named));
    /* A namespace may hold any byte but NUL: what a file name cannot hold becomes '_'. */
    if (asprintf(&name, "%s-failed.ndjson", ns) < 0)
        return NULL;
    for (char *p = name; *p; p++)
        if (*p == '/')
            *p = '_';
    return of_part(failures, name);
}

static bool is_list(const char *file)
{
    struct stat st;
    if (stat(file, &st) != 0 || !S_ISREG(st.st_mode))
        return true;
    return kt_path_begins_with(file, "{ \"ns\" :");
}

enum kt_status kt_failures_check(const struct kt_failures *failures, const char *ns, const char *only,
                                 struct kt_error *err)
{
    enum kt_status status = KT_OK;
    char *name = name_for(failures, ns);
    if (!name)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    /* A killed job reads --only again. */
    if (only && kt_paths_meet(name, only))
        status = kt_fail(
            err, KT_E_USAGE,
            "new failures would be written over the list that --only reads, %s; name another file with "
            "--failures",
            only);
    else
        status = kt_path_writable(name, "--failures", err);
    if (status == KT_OK && !is_list(name))
        status =
            kt_fail(err, KT_E_EXISTS,
                    "%s exists and is no list of failed documents; name another file with --failures", name);
    free(name);
    return status;
}

char *kt_failures_left_over(const struct kt_failures *failures, const char *ns)
{
    struct stat st;
    char *name = name_for(failures, ns);
    bool there = name && stat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    for (size_t i = 0; there && i < failures->count; i++)
        there = strcmp(failures->files[i].name, name) != 0;
    if (there)
        return name;
    free(name);
    return NULL;
}

/* Only a file has a length to go back to. */
static enum kt_status cut_back(const struct kt_failures_file *file, struct kt_error *err)
{
    struct stat st = {0};
    if (file->fd >= 0 && fstat(file->fd, &st) != 0)
        return file_error(file, err);
    if (file->fd >= 0 && !S_ISREG(st.st_mode))
        return KT_OK;
    if ((uint64_t)st.st_size < file->nbytes)
        return kt_fail(err, KT_E_OTHER_JOB,
                       "%s is shorter than when the unfinished job listed documents there; put it back, or "
                       "begin anew with --forget",
                       file->name);
    bool ok = ftruncate(file->fd, (off_t)file->nbytes) == 0 && lseek(file->fd, 0, SEEK_END) >= 0;
    return ok ? KT_OK : file_error(file, err);
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
    file->fd = open(name, O_WRONLY | (keep_nbytes ? 0 : O_CREAT) | O_CLOEXEC | O_NOCTTY, 0600);
    if (file->fd < 0 && !(errno == ENOENT && keep_nbytes))
        return file_error(file, err);
    *out = file;
    return cut_back(file, err);
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

/* Pipes and devices cannot. */
static enum kt_status sync_bytes(const struct kt_failures_file *file, struct kt_error *err)
{
    return fdatasync(file->fd) == 0 || errno == EINVAL || errno == EROFS ? KT_OK : file_error(file, err);
}

enum kt_status kt_failures_sync(struct kt_failures *failures, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < failures->count && status == KT_OK; i++) {
        status = sync_bytes(&failures->files[i], err);
        if (status == KT_OK && !kt_sync_name(failures->files[i].name))
            status = file_error(&failures->files[i], err);
    }
    return status;
}

enum kt_status kt_failures_save(struct kt_failures *failures, bson_t *out, struct kt_error *err)
{
    bson_t list, item;
    bool ok = BSON_APPEND_UTF8(out, "failuresNamed", failures->named ? failures->named : "") &&
              BSON_APPEND_ARRAY_BEGIN(out, "failures", &list);
    for (size_t i = 0; ok && i < failures->count; i++) {
        char number[16];
        const char *key;
        enum kt_status status = sync_bytes(&failures->files[i], err);
        if (status != KT_OK)
            return status;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        ok = BSON_APPEND_DOCUMENT_BEGIN(&list, key, &item) &&
             BSON_APPEND_UTF8(&item, "name", failures->files[i].name) &&
             BSON_APPEND_INT64(&item, "nbytes", (int64_t)failures->files[i].nbytes) &&
             bson_append_document_end(&list, &item);
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
        enum kt_status status = same_place(failures, doc, copy, err);
        if (status == KT_OK)
            status = open_file(failures, copy, (uint64_t)nbytes, &file, err);
        else
            free(copy);
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
