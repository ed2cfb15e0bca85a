/* SPDX-License-Identifier: Apache-2.0 */
/* Everything below a folder, by paths relative to it. */
#ifndef KT_IO_FILE_TREE_H
#define KT_IO_FILE_TREE_H

#include <sys/stat.h>

#include "io/store.h"

struct kt_tree_node {
    char *path;
    struct stat st;
};

/* Both lists sorted by strcmp of the paths. */
struct kt_tree {
    struct kt_tree_node *files, *folders;
    size_t nfiles, nfolders;
};

/* Lists the folder that dir stands for; name is it in messages. tree is zeroed or gets its due by
 * kt_tree_free, also on failure. KT_E_USAGE: a symbolic link, a device, a pipe or a socket, folders nested
 * deeper than 64, or something that cannot be read; KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_tree_list(struct kt_tree *tree, int dir, const char *name,
                                        struct kt_error *err);
void kt_tree_free(struct kt_tree *tree);

/* Removes everything below dir, following nothing. KT_E_IO. */
KT_MUST_USE enum kt_status kt_tree_clear(int dir, const char *name, struct kt_error *err);

#endif
