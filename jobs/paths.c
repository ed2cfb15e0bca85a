/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/paths.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/mongo/client.h"

/* The absolute name of a file that need not be there yet; its folder must be. malloc'ed; NULL: none. */
static char *whole_name(const char *name)
{
    char *full = realpath(name, NULL), *copy = full ? NULL : strdup(name), *base = NULL;
    if (full || !copy)
        return full;
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = 0;
    char *slash = strrchr(copy, '/');
    base = slash ? slash + 1 : copy;
    char *last = *base ? strdup(base) : NULL, *folder = last ? realpath(dirname(copy), NULL) : NULL;
    if (folder && asprintf(&full, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, last) < 0)
        full = NULL;
    free(folder);
    free(last);
    free(copy);
    return full;
}

static bool is_stream(const char *name)
{
    struct stat st;
    return strcmp(name, "-") == 0 || kt_mongo_is_uri(name) ||
           (stat(name, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

static bool same_inode(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Whether `name` is, or with `inside` lies below, `other`. */
static bool meets(const char *name, const char *other, bool inside)
{
    if (!name || !other || is_stream(name) || is_stream(other))
        return false;
    if (same_inode(name, other))
        return true;
    char *here = whole_name(name), *there = whole_name(other);
    size_t n = there ? strlen(there) : 0;
    bool met = here && there && strncmp(here, there, n) == 0 && (here[n] == 0 || (inside && here[n] == '/'));
    free(here);
    free(there);
    return met;
}

bool kt_paths_meet(const char *a, const char *b)
{
    return meets(a, b, false);
}

static bool meets_output(const char *name, const char *to)
{
    static const char *const beside[] = {".part", ".part.checkpoint", ".part.checkpoint.new"};
    size_t n = strlen(to);
    while (n > 1 && to[n - 1] == '/')
        n--;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char *other = NULL;
        if (asprintf(&other, "%.*s%s", (int)n, to, beside[i]) < 0)
            return false;
        bool met = meets(name, other, true);
        free(other);
        if (met)
            return true;
    }
    return false;
}

enum kt_status kt_paths_apart(const struct kt_named_path *mine, const struct kt_named_path *others,
                              size_t count, struct kt_error *err)
{
    for (size_t i = 0; mine->file && i < count; i++) {
        const struct kt_named_path *other = &others[i];
        bool output = other->file && strcmp(other->option, "--to") == 0 && !kt_mongo_is_uri(other->file);
        if (meets(mine->file, other->file, true) || (output && meets_output(mine->file, other->file)))
            return kt_fail(err, KT_E_USAGE,
                           "%s %s would be written over %s %s, or into it; name another file", mine->option,
                           mine->file, other->option, other->file);
    }
    return KT_OK;
}

/* Nothing lies there yet. */
static enum kt_status may_be_created(const char *file, const char *option, struct kt_error *err)
{
    char copy[PATH_MAX], full[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", file);
    const char *folder = dirname(copy);
    if (access(folder, W_OK | X_OK) == 0)
        return KT_OK;
    int why = errno;
    return kt_fail(err, KT_E_USAGE, "%s cannot be created in the folder %s: %s; %sname another file with %s",
                   file, realpath(folder, full) ? full : folder, strerror(why),
                   why == ENOENT ? "create it first, or " : "", option);
}

enum kt_status kt_path_writable(const char *file, const char *option, struct kt_error *err)
{
    struct stat st;
    size_t n = strlen(file);
    bool there = stat(file, &st) == 0;
    if (!there && lstat(file, &st) == 0)
        return kt_fail(err, KT_E_USAGE, "%s links to nothing that can be written; name another file with %s",
                       file, option);
    if ((there && S_ISDIR(st.st_mode)) || (n && file[n - 1] == '/'))
        return kt_fail(err, KT_E_USAGE, "%s is a folder; name a file with %s", file, option);
    if (there ? access(file, W_OK) == 0 : errno == ENOENT)
        return there ? KT_OK : may_be_created(file, option, err);
    return kt_fail(err, KT_E_USAGE, "%.300s cannot be written: %s; name another file with %s", file,
                   strerror(errno), option);
}

bool kt_path_begins_with(const char *file, const char *mark)
{
    char head[32];
    FILE *in = fopen(file, "re");
    if (!in)
        return false;
    size_t got = fread(head, 1, sizeof head, in), nbytes = strlen(mark);
    fclose(in);
    return got == 0 || (got >= nbytes && memcmp(head, mark, nbytes) == 0);
}
