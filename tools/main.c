/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/wiping.h"

/* libmongoc, as it is loaded, makes a file of counters for mongoc-stat. Without its name nothing of it stays
 * after a kill, and no later process of the same number trips over it. */
static void unlink_counters(void)
{
    char name[32];
    snprintf(name, sizeof name, "/mongoc-%d", (int)getpid());
    (void)!shm_unlink(name);
}

int main(int argc, char **argv)
{
    unlink_counters();
    kt_wiping_install();
    /* a closed pipe is an error of write(), told like any other */
    signal(SIGPIPE, SIG_IGN);
    return kt_commands_main(argc, argv);
}
