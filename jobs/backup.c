/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jobs/restore_file.h"
#include "jobs/sync.h"

static enum kt_status io_error(const char *name, struct kt_error *err)
{
    return kt_fail(err, KT_E_IO, "the backup %s: %s", name, strerror(errno));
}

static enum kt_status lock(struct kt_backup *backup, struct kt_error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(backup->fd, F_SETLK, &whole) == 0)
        return KT_OK;
    if (errno == EACCES || errno == EAGAIN)
        return kt_fail(err, KT_E_BUSY, "the backup %s: another process writes it", backup->name);
    return io_error(backup->name, err);
}

static enum kt_status take_name(struct kt_backup *backup, struct kt_error *err)
{
    char *full = realpath(backup->name, NULL);
    if (!full)
        return io_error(backup->name, err);
    free(backup->name);
    backup->name = full;
    return KT_OK;
}

/* What a run leaves that dies before it has noted its job: nobody loses anything with it. */
static bool take_empty(struct kt_backup *backup)
{
    struct stat st;
    backup->fd = open(backup->name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (backup->fd >= 0 && fstat(backup->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
        fchmod(backup->fd, 0600) == 0)
        return true;
    if (backup->fd >= 0)
        close(backup->fd);
    backup->fd = -1;
    errno = EEXIST;
    return false;
}

static bool create(struct kt_backup *backup)
{
    backup->fd = open(backup->name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    return backup->fd >= 0;
}

/* A name that nobody has chosen gives way to one that is taken. */
static enum kt_status create_preset(struct kt_backup *backup, struct kt_error *err)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    for (int n = 1;; n++) {
        char number[16] = "";
        if (n > 1)
            snprintf(number, sizeof number, "-%d", n);
        free(backup->name);
        if (asprintf(&backup->name, "rewrap-%s%s.bson", stamp, number) < 0) {
            backup->name = NULL;
            return kt_fail(err, KT_E_NOMEM, "memory ran out");
        }
        if (create(backup))
            return KT_OK;
        if (errno != EEXIST)
            return io_error(backup->name, err);
    }
}

static enum kt_status create_named(struct kt_backup *backup, const char *name, struct kt_error *err)
{
    backup->name = strdup(name);
    if (!backup->name)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (create(backup) || (errno == EEXIST && take_empty(backup)))
        return KT_OK;
    if (errno != EEXIST)
        return io_error(backup->name, err);
    return kt_fail(err, KT_E_EXISTS,
                   "the backup %s exists already, and none is ever overwritten; name another with --backup",
                   backup->name);
}

enum kt_status kt_backup_create(struct kt_backup *backup, const char *name, struct kt_error *err)
{
    *backup = (struct kt_backup){.fd = -1};
    enum kt_status status = name ? create_named(backup, name, err) : create_preset(backup, err);
    if (status == KT_OK)
        status = take_name(backup, err);
    if (status == KT_OK)
        status = lock(backup, err);
    /* The name must be on disk too, not only the bytes. */
    if (status == KT_OK && !kt_sync_name(backup->name))
        status = io_error(backup->name, err);
    return status;
}

/* Most entries come with one read. */
#define ENTRY_READ_NBYTES 4096

static enum kt_status no_backup(const char *name, struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "%s is no backup of a rewrap", name);
}

static enum kt_status read_at(const struct kt_backup *backup, struct kt_buf *bytes, size_t nbytes, off_t at,
                              struct kt_error *err)
{
    bytes->nbytes = 0;
    if (kt_buf_reserve(bytes, nbytes) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    while (bytes->nbytes < nbytes) {
        ssize_t n =
            pread(backup->fd, bytes->data + bytes->nbytes, nbytes - bytes->nbytes, at + (off_t)bytes->nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(backup->name, err);
        if (n == 0)
            return no_backup(backup->name, err);
        bytes->nbytes += (size_t)n;
    }
    return KT_OK;
}

/* The length of the entry at `at`; 0: what is left may be the beginning of one. */
static enum kt_status entry_nbytes(const struct kt_backup *backup, struct kt_buf *bytes, off_t at, off_t size,
                                   uint32_t *nbytes, struct kt_error *err)
{
    struct kt_restore_entry entry;
    size_t left = (size_t)(size - at), some = left < ENTRY_READ_NBYTES ? left : ENTRY_READ_NBYTES;
    *nbytes = 0;
    enum kt_status status = read_at(backup, bytes, some, at, err);
    if (status != KT_OK || left < 4)
        return status;
    uint32_t whole = kt_load_le32(bytes->data);
    if (whole < 5)
        return no_backup(backup->name, err);
    if (whole > left)
        return KT_OK;
    if (whole > some)
        status = read_at(backup, bytes, whole, at, err);
    if (status != KT_OK)
        return status;
    *nbytes = whole;
    status = kt_restore_entry_read(kt_span_of(bytes->data, whole), &entry, err);
    return status == KT_OK || status == KT_E_NOMEM ? status : no_backup(backup->name, err);
}

/* The length of all whole entries. A file without a single one is no backup that a crash has cut off, for all
 * that can be known. */
static enum kt_status whole_nbytes(const struct kt_backup *backup, off_t size, off_t *whole,
                                   struct kt_error *err)
{
    struct kt_buf bytes = {0};
    enum kt_status status = KT_OK;
    uint32_t nbytes = 1;
    for (*whole = 0; *whole < size && nbytes && status == KT_OK; *whole += nbytes)
        status = entry_nbytes(backup, &bytes, *whole, size, &nbytes, err);
    kt_buf_free(&bytes);
    return status == KT_OK && size && !*whole ? no_backup(backup->name, err) : status;
}

/* The name comes from the server. */
static enum kt_status open_again(struct kt_backup *backup, off_t *size, struct kt_error *err)
{
    struct stat st;
    backup->fd = open(backup->name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (backup->fd < 0 && errno == ELOOP)
        return no_backup(backup->name, err);
    if (backup->fd < 0)
        return kt_fail(err, errno == ENOENT ? KT_E_USAGE : KT_E_IO, "the backup %s: %s", backup->name,
                       strerror(errno));
    if (fstat(backup->fd, &st) != 0)
        return io_error(backup->name, err);
    if (!S_ISREG(st.st_mode))
        return no_backup(backup->name, err);
    enum kt_status status = lock(backup, err);
    if (status == KT_OK && fstat(backup->fd, &st) != 0)
        status = io_error(backup->name, err);
    *size = st.st_size;
    return status;
}

enum kt_status kt_backup_append(struct kt_backup *backup, const char *name, struct kt_error *err)
{
    off_t size = 0, whole = 0;
    *backup = (struct kt_backup){.fd = -1, .name = strdup(name)};
    if (!backup->name)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    enum kt_status status = open_again(backup, &size, err);
    if (status == KT_OK)
        status = whole_nbytes(backup, size, &whole, err);
    if (status == KT_OK && whole != size && (ftruncate(backup->fd, whole) != 0 || fsync(backup->fd) != 0))
        status = io_error(backup->name, err);
    return status;
}

void kt_backup_close(struct kt_backup *backup)
{
    if (backup->name && backup->fd >= 0)
        close(backup->fd);
    free(backup->name);
    *backup = (struct kt_backup){.fd = -1};
}

enum kt_status kt_backup_entry(struct kt_buf *out, const char *ns, const struct kt_key_doc *old,
                               struct kt_span made, struct kt_span master_key)
{
    bson_t entry = BSON_INITIALIZER, doc, master, part;
    bool ok =
        bson_init_static(&doc, old->doc.data, old->doc.nbytes) &&
        bson_init_static(&master, master_key.data, master_key.nbytes) &&
        BSON_APPEND_BINARY(&entry, "_id", BSON_SUBTYPE_UUID, old->id, 16) &&
        BSON_APPEND_UTF8(&entry, "ns", ns) && BSON_APPEND_DOCUMENT(&entry, "old", &doc) &&
        BSON_APPEND_DOCUMENT_BEGIN(&entry, "new", &part) &&
        BSON_APPEND_BINARY(&part, "keyMaterial", BSON_SUBTYPE_BINARY, made.data, (uint32_t)made.nbytes) &&
        BSON_APPEND_DOCUMENT(&part, "masterKey", &master) && bson_append_document_end(&entry, &part);
    enum kt_status status = ok ? kt_buf_append(out, bson_get_data(&entry), entry.len) : KT_E_NOMEM;
    bson_destroy(&entry);
    return status;
}

enum kt_status kt_backup_put(struct kt_backup *backup, struct kt_span entries, struct kt_error *err)
{
    for (size_t at = 0; at < entries.nbytes;) {
        ssize_t n = write(backup->fd, entries.data + at, entries.nbytes - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(backup->name, err);
        at += (size_t)n;
    }
    return fdatasync(backup->fd) == 0 ? KT_OK : io_error(backup->name, err);
}
