/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "io/file/tree.h"

/* Only the owner reads what decrypt writes, whatever the umask: wider rights are the owner's choice. */
#define FILE_MODE 0600
#define FOLDER_MODE 0700

/* flock has no way to ask who holds it, the kernel's list has. 0: not known (another machine or container).
 */
static long lock_holder(const struct stat *st)
{
    FILE *locks = fopen("/proc/locks", "re");
    if (!locks)
        return 0;
    char line[256];
    long holder = 0;
    while (holder == 0 && fgets(line, sizeof line, locks)) {
        char kind[16];
        long pid;
        unsigned major_nr, minor_nr;
        uint64_t inode;
        if (sscanf(line, "%*s %15s %*s %*s %ld %x:%x:%" SCNu64, kind, &pid, &major_nr, &minor_nr, &inode) ==
                5 &&
            strcmp(kind, "FLOCK") == 0 && inode == st->st_ino && major_nr == major(st->st_dev) &&
            minor_nr == minor(st->st_dev))
            holder = pid;
    }
    fclose(locks);
    return holder;
}

static enum kt_status busy(const struct kt_part *part, const struct stat *st, struct kt_error *err)
{
    long pid = lock_holder(st);
    if (pid > 0)
        return kt_fail(err, KT_E_BUSY, "%s: process %ld is writing it", part->label, pid);
    return kt_fail(err, KT_E_BUSY, "%s: another process is writing it", part->label);
}

static enum kt_status refused(const struct kt_part *part, struct kt_error *err)
{
    enum kt_status status = errno == EIO || errno == ENOSPC || errno == EDQUOT ? KT_E_IO : KT_E_USAGE;
    return kt_fail(err, status, "%s: cannot be written: %s", part->label, strerror(errno));
}

static enum kt_status split_name(struct kt_part *part, const char *name, struct kt_error *err)
{
    size_t n = strlen(name);
    while (n > 1 && name[n - 1] == '/')
        n--;
    char *folder = strndup(name, n), *slash = folder ? strrchr(folder, '/') : NULL;
    const char *base = slash ? slash + 1 : folder;
    part->final = folder ? strdup(base) : NULL;
    bool ok = part->final && asprintf(&part->label, "%s.part", folder) > 0 &&
              asprintf(&part->name, "%s.part", base) > 0 &&
              asprintf(&part->checkpoint, "%s.part.checkpoint", base) > 0 &&
              asprintf(&part->fresh, "%s.part.checkpoint.new", base) > 0;
    enum kt_status status = KT_OK;
    if (!ok)
        status = kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
    else if (*base == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        status = kt_fail(err, KT_E_EXISTS, "%s: exists", name);
    if (status == KT_OK) {
        if (slash)
            slash[slash == folder] = 0; /* keeps the / of the root */
        part->parent = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (part->parent < 0)
            status = kt_fail(err, KT_E_USAGE, "%s: cannot be written: the folder %s: %s", name,
                             slash ? folder : ".", strerror(errno));
    }
    free(folder);
    return status;
}

static enum kt_status check_free(const struct kt_part *part, const char *name, struct kt_error *err)
{
    struct stat st;
    if (fstatat(part->parent, part->final, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return kt_fail(err, KT_E_EXISTS, "%s: exists already; give another name or remove it", name);
    return errno == ENOENT ? KT_OK : refused(part, err);
}

static int open_part(struct kt_part *part)
{
    if (!part->is_folder)
        return openat(part->parent, part->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                      FILE_MODE);
    bool there = mkdirat(part->parent, part->name, FOLDER_MODE) == 0 || errno == EEXIST;
    return there ? openat(part->parent, part->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

/* *gone: another process has finished and renamed it between our opening and our lock. */
static enum kt_status lock_part(struct kt_part *part, bool *gone, struct kt_error *err)
{
    struct stat mine, there;
    *gone = false;
    part->fd = open_part(part);
    if (part->fd < 0)
        return refused(part, err);
    if (fstat(part->fd, &mine) != 0)
        return refused(part, err);
    if (part->is_folder != S_ISDIR(mine.st_mode) || (!part->is_folder && !S_ISREG(mine.st_mode)))
        return kt_fail(err, KT_E_USAGE, "%s: is in the way; remove it", part->label);
    while (flock(part->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return busy(part, &mine, err);
        if (errno != EINTR)
            return kt_fail(err, KT_E_IO, "%s: cannot be locked: %s", part->label, strerror(errno));
    }
    *gone = fstatat(part->parent, part->name, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
            there.st_ino != mine.st_ino || there.st_dev != mine.st_dev;
    return KT_OK;
}

static bool holds_nothing(const struct kt_part *part)
{
    struct stat st;
    if (!part->is_folder)
        return fstat(part->fd, &st) == 0 && st.st_size == 0;
    int fd = openat(part->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    int n = 0;
    while (readdir(stream))
        n++;
    closedir(stream);
    return n <= 2;
}

/* The name may have come up between the first look and the lock: another process has finished, and what was
 * locked is an empty part that was made behind it. */
static enum kt_status look_again(struct kt_part *part, const char *name, struct kt_error *err)
{
    enum kt_status status = check_free(part, name, err);
    part->is_empty = holds_nothing(part);
    if (status != KT_OK && part->is_empty)
        unlinkat(part->parent, part->name, part->is_folder ? AT_REMOVEDIR : 0);
    return status;
}

enum kt_status kt_part_open(struct kt_part *part, const char *name, bool folder, struct kt_error *err)
{
    *part = (struct kt_part){.parent = -1, .fd = -1, .is_folder = folder};
    enum kt_status status = split_name(part, name, err);
    bool gone = true;
    while (status == KT_OK && gone) {
        status = check_free(part, name, err);
        if (status == KT_OK)
            status = lock_part(part, &gone, err);
        if (status == KT_OK && gone) {
            close(part->fd);
            part->fd = -1;
        }
    }
    if (status == KT_OK)
        status = look_again(part, name, err);
    if (status != KT_OK)
        kt_part_close(part);
    return status;
}

/* What stands under the part's name, without a lock: another process may begin it right afterwards. */
static enum kt_status look_at(struct kt_part *part, struct kt_error *err)
{
    struct stat st;
    part->is_empty = true;
    part->fd = openat(part->parent, part->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (part->fd < 0)
        return errno == ENOENT ? KT_OK : refused(part, err);
    if (fstat(part->fd, &st) != 0)
        return refused(part, err);
    if (part->is_folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return kt_fail(err, KT_E_USAGE, "%s: is in the way; remove it", part->label);
    part->is_empty = holds_nothing(part);
    return lock_holder(&st) > 0 ? busy(part, &st, err) : KT_OK;
}

enum kt_status kt_part_look(struct kt_part *part, const char *name, bool folder, struct kt_error *err)
{
    *part = (struct kt_part){.parent = -1, .fd = -1, .is_folder = folder};
    enum kt_status status = split_name(part, name, err);
    if (status == KT_OK)
        status = check_free(part, name, err);
    if (status == KT_OK && faccessat(part->parent, ".", W_OK | X_OK, AT_EACCESS) != 0)
        status = refused(part, err);
    if (status == KT_OK)
        status = look_at(part, err);
    if (status != KT_OK)
        kt_part_close(part);
    return status;
}

static enum kt_status sync_parent(const struct kt_part *part, struct kt_error *err)
{
    if (fsync(part->parent) == 0 || errno == EINVAL) /* a file system that cannot sync folders */
        return KT_OK;
    return kt_fail(err, KT_E_IO, "%s: its folder cannot be made durable: %s", part->label, strerror(errno));
}

static void remove_checkpoint(const struct kt_part *part)
{
    unlinkat(part->parent, part->fresh, 0);
    unlinkat(part->parent, part->checkpoint, 0);
}

/* As rename(2); EEXIST or ENOTEMPTY: the name has come up. */
static int rename_to_final(const struct kt_part *part)
{
    struct stat st;
    int rc = renameat2(part->parent, part->name, part->parent, part->final, RENAME_NOREPLACE);
    if (rc == 0 || (errno != EINVAL && errno != ENOSYS))
        return rc;
    /* a file system without that flag */
    if (fstatat(part->parent, part->final, &st, AT_SYMLINK_NOFOLLOW) == 0)
        errno = EEXIST;
    else if (errno == ENOENT)
        rc = renameat(part->parent, part->name, part->parent, part->final);
    return rc;
}

enum kt_status kt_part_publish(struct kt_part *part, struct kt_error *err)
{
    int rc = rename_to_final(part);
    if (rc != 0 && (errno == EEXIST || errno == ENOTEMPTY))
        return kt_fail(err, KT_E_IO,
                       "%s: complete, but its final name has come up meanwhile; move that away "
                       "and run the same command again",
                       part->label);
    if (rc != 0)
        return kt_fail(err, KT_E_IO, "%s: complete, but cannot be renamed: %s", part->label, strerror(errno));
    enum kt_status status = sync_parent(part, err);
    if (status == KT_OK)
        remove_checkpoint(part);
    return status;
}

/* A part that is half emptied must not be taken for what its checkpoint describes. */
enum kt_status kt_part_clear(struct kt_part *part, struct kt_error *err)
{
    bson_t no_job = BSON_INITIALIZER;
    enum kt_status status = kt_part_store(part, &no_job, err);
    if (status != KT_OK)
        return status;
    if (part->is_folder)
        return kt_tree_clear(part->fd, part->label, err);
    if (ftruncate(part->fd, 0) != 0 || lseek(part->fd, 0, SEEK_SET) != 0)
        return kt_fail(err, KT_E_IO, "%s: cannot be emptied: %s", part->label, strerror(errno));
    return KT_OK;
}

void kt_part_discard(struct kt_part *part)
{
    if (part->is_folder && kt_part_clear(part, NULL) != KT_OK)
        return;
    unlinkat(part->parent, part->name, part->is_folder ? AT_REMOVEDIR : 0);
    remove_checkpoint(part);
}

void kt_part_close(struct kt_part *part)
{
    if (part->fd >= 0)
        close(part->fd);
    if (part->parent >= 0)
        close(part->parent);
    free(part->label);
    free(part->name);
    free(part->final);
    free(part->checkpoint);
    free(part->fresh);
    *part = (struct kt_part){.parent = -1, .fd = -1};
}
