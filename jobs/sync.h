/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a power cut must not take. */
#ifndef KT_JOBS_SYNC_H
#define KT_JOBS_SYNC_H

#include <stdbool.h>

/* The file's name is on disk: its folder is synced, where the file system can. False: errno says why. */
bool kt_sync_name(const char *file);

#endif
