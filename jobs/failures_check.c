/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of failures before they are opened: what they are called, and what stands there already. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/failures_private.h"

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

char *kt_failures_name(const struct kt_failures *failures, const char *ns)
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

enum kt_status kt_failures_held(const char *name, struct kt_error *err)
{
    return kt_fail(err, KT_E_BUSY,
                   "%s: another job is running that lists its failures there; wait for it, or name another "
                   "file with --failures",
                   name);
}

/* Asks without taking the lock: a job that meets its first failure at that moment must not be ended by it.
 * Nor is a pipe opened, whose writer may wait for its reader. */
static bool is_held(const char *name)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat st;
    bool file = stat(name, &st) == 0 && S_ISREG(st.st_mode);
    int fd = file ? open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    bool held = fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return held;
}

/* Keeps what stands under a name, which is taken over. */
static enum kt_status note(struct kt_failures *failures, char *name, struct kt_error *err)
{
    struct kt_failures_seen *seen = realloc(failures->seen, (failures->seen_count + 1) * sizeof *seen);
    if (!seen) {
        free(name);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    failures->seen = seen;
    seen += failures->seen_count++;
    *seen = (struct kt_failures_seen){.name = name};
    if (stat(name, &seen->st) != 0)
        seen->st = (struct stat){0};
    return KT_OK;
}

bool kt_failures_may_cut(const struct kt_failures *failures, const struct kt_failures_file *file)
{
    struct stat now;
    if (fstat(file->fd, &now) != 0)
        return false;
    for (size_t i = 0; i < failures->seen_count; i++) {
        const struct stat *then = &failures->seen[i].st;
        if (strcmp(failures->seen[i].name, file->name) == 0 && then->st_ino == now.st_ino &&
            then->st_dev == now.st_dev && then->st_size == now.st_size &&
            then->st_mtim.tv_sec == now.st_mtim.tv_sec && then->st_mtim.tv_nsec == now.st_mtim.tv_nsec)
            return true;
    }
    return now.st_size == 0;
}

static enum kt_status check_name(const char *name, const struct kt_named_path *others, size_t count,
                                 struct kt_error *err)
{
    const struct kt_named_path mine = {"--failures", name};
    enum kt_status status = kt_paths_apart(&mine, others, count, err);
    if (status == KT_OK)
        status = kt_path_writable(name, "--failures", err);
    if (status == KT_OK && !is_list(name))
        status =
            kt_fail(err, KT_E_EXISTS,
                    "%s exists and is no list of failed documents; name another file with --failures", name);
    return status == KT_OK && is_held(name) ? kt_failures_held(name, err) : status;
}

enum kt_status kt_failures_check(struct kt_failures *failures, const char *ns,
                                 const struct kt_named_path *others, size_t count, struct kt_error *err)
{
    char *name = kt_failures_name(failures, ns);
    if (!name)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    enum kt_status status = check_name(name, others, count, err);
    if (status == KT_OK)
        return note(failures, name, err);
    free(name);
    return status;
}

char *kt_failures_left_over(const struct kt_failures *failures, const char *ns)
{
    struct stat st;
    char *name = kt_failures_name(failures, ns);
    bool there = name && stat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    for (size_t i = 0; there && i < failures->count; i++)
        there = strcmp(failures->files[i].name, name) != 0;
    if (there)
        return name;
    free(name);
    return NULL;
}
