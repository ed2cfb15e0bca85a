/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* each level holds a descriptor while it is listed */

static enum kt_status failed(const char *root, const char *path, struct kt_error *err)
{
    if (errno == ENOMEM)
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", root);
    return kt_fail(err, errno == EIO ? KT_E_IO : KT_E_USAGE, "%s/%s: cannot be read: %s", root, path,
                   strerror(errno));
}

static DIR *open_folder(int dir, const char *path)
{
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static struct kt_tree_node *append(struct kt_tree_node **list, size_t *n, char *path, const struct stat *st)
{
    if ((*n & (*n - 1)) == 0) {
        struct kt_tree_node *more = realloc(*list, (*n ? *n * 2 : 1) * sizeof **list);
        if (!more)
            return NULL;
        *list = more;
    }
    (*list)[*n] = (struct kt_tree_node){path, *st};
    return &(*list)[(*n)++];
}

static enum kt_status list_folder(struct kt_tree *tree, int root, const char *path, const char *name,
                                  unsigned depth, struct kt_error *err);

static enum kt_status list_one(struct kt_tree *tree, int root, char *path, const char *name, unsigned depth,
                               struct kt_error *err)
{
    struct stat st;
    enum kt_status status = KT_OK;
    if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        status = failed(name, path, err);
    else if (S_ISLNK(st.st_mode))
        status = kt_fail(err, KT_E_USAGE, "%s/%s: a symbolic link; put what it points to in its place", name,
                         path);
    else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        status = kt_fail(err, KT_E_USAGE, "%s/%s: neither a file nor a folder", name, path);
    if (status != KT_OK) {
        free(path);
        return status;
    }
    bool folder = S_ISDIR(st.st_mode);
    if (!append(folder ? &tree->folders : &tree->files, folder ? &tree->nfolders : &tree->nfiles, path,
                &st)) {
        free(path);
        return kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
    }
    return folder ? list_folder(tree, root, path, name, depth + 1, err) : KT_OK;
}

static enum kt_status list_folder(struct kt_tree *tree, int root, const char *path, const char *name,
                                  unsigned depth, struct kt_error *err)
{
    if (depth > DEPTH_MAX)
        return kt_fail(err, KT_E_USAGE, "%s/%s: folders nested deeper than %d", name, path, DEPTH_MAX);
    DIR *stream = open_folder(root, path);
    if (!stream)
        return failed(name, path, err);
    enum kt_status status = KT_OK;
    struct dirent *e;
    while (status == KT_OK && (errno = 0, e = readdir(stream)) != NULL) {
        if (is_dots(e->d_name))
            continue;
        char *child = NULL;
        bool top = strcmp(path, ".") == 0;
        if (asprintf(&child, "%s%s%s", top ? "" : path, top ? "" : "/", e->d_name) < 0)
            status = kt_fail(err, KT_E_NOMEM, "%s: memory ran out", name);
        else
            status = list_one(tree, root, child, name, depth, err);
    }
    if (status == KT_OK && errno != 0)
        status = failed(name, path, err);
    closedir(stream);
    return status;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct kt_tree_node *)a)->path, ((const struct kt_tree_node *)b)->path);
}

enum kt_status kt_tree_list(struct kt_tree *tree, int dir, const char *name, struct kt_error *err)
{
    *tree = (struct kt_tree){0};
    enum kt_status status = list_folder(tree, dir, ".", name, 0, err);
    if (tree->nfiles > 1)
        qsort(tree->files, tree->nfiles, sizeof *tree->files, by_path);
    if (tree->nfolders > 1)
        qsort(tree->folders, tree->nfolders, sizeof *tree->folders, by_path);
    return status;
}

void kt_tree_free(struct kt_tree *tree)
{
    for (size_t i = 0; i < tree->nfiles; i++)
        free(tree->files[i].path);
    for (size_t i = 0; i < tree->nfolders; i++)
        free(tree->folders[i].path);
    free(tree->files);
    free(tree->folders);
    *tree = (struct kt_tree){0};
}

static enum kt_status clear_folder(int dir, const char *path, const char *name, unsigned depth,
                                   struct kt_error *err)
{
    DIR *stream = depth > DEPTH_MAX ? NULL : open_folder(dir, path);
    if (!stream)
        return kt_fail(err, KT_E_IO, "%s: cannot be emptied: %s", name,
                       depth > DEPTH_MAX ? "too deep" : strerror(errno));
    enum kt_status status = KT_OK;
    struct dirent *e;
    while (status == KT_OK && (e = readdir(stream)) != NULL) {
        if (is_dots(e->d_name) || unlinkat(dirfd(stream), e->d_name, 0) == 0)
            continue;
        int cause = errno; /* EISDIR on Linux, EPERM by POSIX */
        if (cause == EISDIR || cause == EPERM)
            status = clear_folder(dirfd(stream), e->d_name, name, depth + 1, err);
        if (status == KT_OK && unlinkat(dirfd(stream), e->d_name, AT_REMOVEDIR) != 0)
            status = kt_fail(err, KT_E_IO, "%s/%s: cannot be removed: %s", name, e->d_name, strerror(cause));
    }
    closedir(stream);
    return status;
}

enum kt_status kt_tree_clear(int dir, const char *name, struct kt_error *err)
{
    return clear_folder(dir, ".", name, 0, err);
}
