/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/failures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/crc64.h"
#include "jobs/failures_private.h"
#include "jobs/sync.h"

enum kt_status kt_failures_error(const struct kt_failures_file *file, struct kt_error *err)
{
    return kt_fail(err, KT_E_IO, "%s: the list of failed documents cannot be written: %s", file->name,
                   strerror(errno));
}

/* Only a file has a length to go back to. */
enum kt_status kt_failures_cut(const struct kt_failures_file *file, struct kt_error *err)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0)
        return kt_failures_error(file, err);
    if (!S_ISREG(st.st_mode))
        return KT_OK;
    bool ok = ftruncate(file->fd, (off_t)file->nbytes) == 0 && lseek(file->fd, 0, SEEK_END) >= 0;
    return ok ? KT_OK : kt_failures_error(file, err);
}

/* False: another job holds it. A file system without locks is no reason to end a job. */
static bool lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return true;
    return fcntl(fd, F_OFD_SETLK, &whole) == 0 || (errno != EAGAIN && errno != EACCES);
}

static enum kt_status open_locked(const struct kt_failures *failures, struct kt_failures_file *file,
                                  bool goes_on, struct kt_error *err)
{
    struct stat st;
    /* A pipe that we could read ourselves would not break when its reader ends. */
    bool stream = stat(file->name, &st) == 0 && !S_ISREG(st.st_mode);
    file->fd =
        open(file->name, (stream ? O_WRONLY : O_RDWR) | (goes_on ? 0 : O_CREAT) | O_CLOEXEC | O_NOCTTY, 0600);
    if (file->fd < 0)
        return goes_on && errno == ENOENT ? kt_failures_changed(file, err) : kt_failures_error(file, err);
    bool locked = lock(file->fd);
    if (goes_on)
        return locked ? KT_OK : kt_failures_held(file->name, err);
    if (locked && (stream || kt_failures_may_cut(failures, file)))
        return KT_OK;
    return kt_fail(err, KT_E_IO,
                   "%s: another job has begun to list its failures there; when it has ended, move that list "
                   "away and repeat this command",
                   file->name);
}

enum kt_status kt_failures_open(struct kt_failures *failures, char *name, bool goes_on,
                                struct kt_failures_file **out, struct kt_error *err)
{
    struct kt_failures_file file = {.name = name, .fd = -1};
    struct kt_failures_file *files =
        realloc(failures->files, (failures->count + 1) * sizeof *failures->files);
    if (files)
        failures->files = files;
    enum kt_status status =
        files ? open_locked(failures, &file, goes_on, err) : kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (status != KT_OK) {
        /* Nobody must find it and write to what another job holds. */
        if (file.fd >= 0)
            close(file.fd);
        free(name);
        return status;
    }
    *out = &files[failures->count++];
    **out = file;
    return KT_OK;
}

static enum kt_status file_of(struct kt_failures *failures, const char *ns, struct kt_failures_file **out,
                              struct kt_error *err)
{
    char *name = kt_failures_name(failures, ns);
    if (!name)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t i = 0; i < failures->count; i++) {
        if (strcmp(failures->files[i].name, name) == 0) {
            free(name);
            *out = &failures->files[i];
            return KT_OK;
        }
    }
    enum kt_status status = kt_failures_open(failures, name, false, out, err);
    return status == KT_OK ? kt_failures_cut(*out, err) : status;
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
            return kt_failures_error(file, err);
        at += (size_t)n;
    }
    file->nbytes += lines.nbytes;
    file->crc = kt_crc64(file->crc, lines.data, lines.nbytes);
    return KT_OK;
}

/* Pipes and devices cannot. */
enum kt_status kt_failures_sync_bytes(const struct kt_failures_file *file, struct kt_error *err)
{
    return fdatasync(file->fd) == 0 || errno == EINVAL || errno == EROFS ? KT_OK
                                                                         : kt_failures_error(file, err);
}

enum kt_status kt_failures_sync(struct kt_failures *failures, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < failures->count && status == KT_OK; i++) {
        status = kt_failures_sync_bytes(&failures->files[i], err);
        if (status == KT_OK && !kt_sync_name(failures->files[i].name))
            status = kt_failures_error(&failures->files[i], err);
    }
    return status;
}

enum kt_status kt_failures_finish(struct kt_failures *failures, struct kt_error *err)
{
    for (size_t i = 0; i < failures->count; i++) {
        struct kt_failures_file *file = &failures->files[i];
        int failed = fdatasync(file->fd) != 0 && errno != EINVAL && errno != EROFS;
        if (close(file->fd) != 0 || failed) {
            file->fd = -1;
            return kt_failures_error(file, err);
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
    for (size_t i = 0; i < failures->seen_count; i++)
        free(failures->seen[i].name);
    free(failures->seen);
    *failures = (struct kt_failures){0};
}
