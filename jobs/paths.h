/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a job writes beside its output, kept apart from everything else that it reads or writes. */
#ifndef KT_JOBS_PATHS_H
#define KT_JOBS_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "keyturn/status.h"

/* A file, folder or store and the option that names it. file NULL: not given. */
struct kt_named_path {
    const char *option, *file;
};

/* True when two names stand for one file, or would once they are created. Servers, "-", devices and pipes are
 * no files. */
bool kt_paths_meet(const char *a, const char *b);

/* KT_E_USAGE when mine is, or lies inside, one of the others (count of them), or what --to leaves beside
 * itself while it grows. */
KT_MUST_USE enum kt_status kt_paths_apart(const struct kt_named_path *mine,
                                          const struct kt_named_path *others, size_t count,
                                          struct kt_error *err);

/* KT_E_USAGE when a file that is written later, if at all, could not be: what it is, its name or its folder
 * is in the way. option: what gives it another name. */
KT_MUST_USE enum kt_status kt_path_writable(const char *file, const char *option, struct kt_error *err);

/* Whether a file is empty or begins with `mark`, of at most 32 bytes: how every report and every list begins,
 * so that a mistyped name never costs a dump or a key vault. */
bool kt_path_begins_with(const char *file, const char *mark);

#endif
