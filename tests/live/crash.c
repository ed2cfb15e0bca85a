/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program under test: kills it, as kill -9 would, before or after the N-th call of one
 * kind. KEYTURN_CRASH=WHAT:WHEN:N with WHAT read, write, commit or fsync and WHEN before or after.
 * KEYTURN_CRASH_COUNTS=FILE: how many calls of each kind there were. The guard, a fork, is not concerned. */
#include <dlfcn.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int reads, writes, commits, fsyncs;
static pid_t job;

__attribute__((constructor)) static void begin(void)
{
    const char *first = getenv("KEYTURN_CRASH_JOB");
    char number[16];
    job = first ? (pid_t)strtol(first, NULL, 10) : getpid();
    snprintf(number, sizeof number, "%d", (int)job);
    setenv("KEYTURN_CRASH_JOB", number, 1);
}

__attribute__((destructor)) static void end(void)
{
    const char *name = getenv("KEYTURN_CRASH_COUNTS");
    FILE *file = name && getpid() == job ? fopen(name, "w") : NULL;
    if (!file)
        return;
    fprintf(file, "{\"read\": %d, \"write\": %d, \"commit\": %d, \"fsync\": %d}\n", reads, writes, commits,
            fsyncs);
    fclose(file);
}

static void crash(const char *what, const char *when, int n)
{
    char here[64];
    const char *wanted = getenv("KEYTURN_CRASH");
    snprintf(here, sizeof here, "%s:%s:%d", what, when, n);
    if (wanted && strcmp(wanted, here) == 0 && getpid() == job)
        kill(job, SIGKILL);
}

#define AROUND(what, counter, call)                                                                          \
    int n = atomic_fetch_add(&counter, 1) + 1;                                                               \
    crash(what, "before", n);                                                                                \
    __auto_type result = call;                                                                               \
    crash(what, "after", n);                                                                                 \
    return result

bool mongoc_client_read_command_with_opts(mongoc_client_t *client, const char *db, const bson_t *command,
                                          const mongoc_read_prefs_t *prefs, const bson_t *opts, bson_t *reply,
                                          bson_error_t *error)
{
    bool (*real)(mongoc_client_t *, const char *, const bson_t *, const mongoc_read_prefs_t *, const bson_t *,
                 bson_t *, bson_error_t *) = dlsym(RTLD_NEXT, "mongoc_client_read_command_with_opts");
    AROUND("read", reads, real(client, db, command, prefs, opts, reply, error));
}

bool mongoc_client_write_command_with_opts(mongoc_client_t *client, const char *db, const bson_t *command,
                                           const bson_t *opts, bson_t *reply, bson_error_t *error)
{
    bool (*real)(mongoc_client_t *, const char *, const bson_t *, const bson_t *, bson_t *, bson_error_t *) =
        dlsym(RTLD_NEXT, "mongoc_client_write_command_with_opts");
    AROUND("write", writes, real(client, db, command, opts, reply, error));
}

bool mongoc_client_session_commit_transaction(mongoc_client_session_t *session, bson_t *reply,
                                              bson_error_t *error)
{
    bool (*real)(mongoc_client_session_t *, bson_t *, bson_error_t *) =
        dlsym(RTLD_NEXT, "mongoc_client_session_commit_transaction");
    AROUND("commit", commits, real(session, reply, error));
}

int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    AROUND("fsync", fsyncs, real(fd));
}

int fsync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    AROUND("fsync", fsyncs, real(fd));
}
