/* SPDX-License-Identifier: Apache-2.0 */
/* What a job on a server needs of the process: its connection strings, its partition, its guard, and the
 * user's yes. */
#ifndef KT_TOOLS_SERVER_H
#define KT_TOOLS_SERVER_H

#include <sys/types.h>

#include "tools/screen.h"
#include "tools/settings.h"

bool kt_store_is_server(const char *store);

/* Stores that say env:NAME become what the variable holds; a password or token on the command line is
 * refused, without being repeated. KT_OK or KT_E_USAGE. */
KT_MUST_USE enum kt_status kt_server_stores(struct kt_settings *settings, struct kt_error *err);

/* "i/n"; "auto": a Slurm job array's; "auto/n": JOB_COMPLETION_INDEX of n. KT_OK or KT_E_USAGE. */
KT_MUST_USE enum kt_status kt_partition_read(const char *text, int *part, int *parts, struct kt_error *err);

/* The process that ends our transactions should we die. To be started before secrets are read and threads
 * begin. */
struct kt_guard {
    int fd; /* 0: there is none */
    pid_t pid;
};
KT_MUST_USE enum kt_status kt_guard_start(struct kt_guard *guard, struct kt_error *err);
void kt_guard_end(struct kt_guard *guard);

/* Asks on the terminal, default no. KT_OK: yes. KT_E_USAGE: declined, or there is no terminal to ask on. */
KT_MUST_USE enum kt_status kt_ask(struct kt_screen *screen, const char *question, struct kt_error *err);

#endif
