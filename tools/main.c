/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/wiping.h"

/* A pipe or an output that got the number of a closed stream would be read, or would be written into, as that
 * stream. What fills its place is opened the wrong way round, so that its use stays an error. */
static void fill_closed_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) == -1 ? O_WRONLY : O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* libmongoc, as it is loaded, makes a file of counters for mongoc-stat. Without its name nothing of it stays
 * after a kill, and no later process of the same number trips over it. */
static void unlink_counters(void)
{
    char name[32];
    snprintf(name, sizeof name, "/mongoc-%d", (int)getpid());
    (void)!shm_unlink(name);
}

/* A function that a library looks up at its first call has the vector registers stored on the stack
 * meanwhile, and with them what was copied last: a key. Libraries that are not built for it look everything
 * up as they are loaded only when the environment says so, so the program starts once more; it works without,
 * too. */
static void bind_now(char **argv)
{
    char self[PATH_MAX];
    ssize_t nbytes = readlink("/proc/self/exe", self, sizeof self - 1);
    if (nbytes <= 0 || getenv("LD_BIND_NOW") || setenv("LD_BIND_NOW", "1", 1) != 0)
        return;
    self[nbytes] = 0;
    execv(self, argv);
}

int main(int argc, char **argv)
{
    fill_closed_streams();
    unlink_counters();
    bind_now(argv);
    kt_wiping_install();
    /* a closed pipe is an error of write(), told like any other */
    signal(SIGPIPE, SIG_IGN);
    return kt_commands_main(argc, argv);
}
