/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/mongo/lease_private.h"

static void read_line(const char *path, char *out, size_t nbytes)
{
    out[0] = 0;
    FILE *in = fopen(path, "re");
    if (!in)
        return;
    if (!fgets(out, (int)nbytes, in))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    fclose(in);
}

uint64_t kt_process_started(int pid)
{
    char path[64], line[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    read_line(path, line, sizeof line);
    /* The name in parentheses may hold anything: fields are counted from behind it. */
    char *at = strrchr(line, ')');
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    for (int field = 2; field < 22 && at; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

enum kt_status kt_owner_self(struct kt_owner *owner, struct kt_error *err)
{
    struct stat ns;
    *owner = (struct kt_owner){.pid = (int)getpid()};
    if (RAND_bytes(owner->id, sizeof owner->id) != 1)
        return kt_fail(err, KT_E_INTERNAL, "the system's random source failed");
    if (gethostname(owner->host, sizeof owner->host - 1) != 0)
        return kt_fail(err, KT_E_IO, "this machine's name cannot be read: %s", strerror(errno));
    read_line("/proc/sys/kernel/random/boot_id", owner->boot_id, sizeof owner->boot_id);
    owner->pid_ns = stat("/proc/self/ns/pid", &ns) == 0 ? ns.st_ino : 0;
    owner->started = kt_process_started(owner->pid);
    return KT_OK;
}

bool kt_owner_is_dead(const struct kt_owner *other, const struct kt_owner *self)
{
    if (strcmp(other->host, self->host) != 0 || !*other->boot_id)
        return false;
    if (strcmp(other->boot_id, self->boot_id) != 0)
        return true;
    /* A pid means something only among processes that see the same ones. */
    if (other->pid_ns != self->pid_ns || !other->pid_ns || !other->started || !self->started)
        return false;
    return kt_process_started(other->pid) != other->started;
}
