/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/server.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keyturn/job.h"
#include "tools/format.h"
#include "tools/option_table.h"

#define PARTITIONS_MAX 10000

bool kt_store_is_server(const char *store)
{
    return store && (strncmp(store, "mongodb://", 10) == 0 || strncmp(store, "mongodb+srv://", 14) == 0);
}

/* user:password@ before the hosts. */
static bool has_password(const char *uri)
{
    const char *begin = strstr(uri, "://") + 3, *end = begin + strcspn(begin, "/?");
    const char *at = memrchr(begin, '@', (size_t)(end - begin));
    return at && memchr(begin, ':', (size_t)(at - begin));
}

static void percent_decode(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        unsigned c;
        if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]) &&
            sscanf(p + 1, "%2x", &c) == 1 && c) {
            *out++ = (char)c;
            p += 2;
        } else
            *out++ = *p;
    }
    *out = 0;
}

/* Secrets among the options; no harm is done where one of the names is part of something else. */
static bool has_secret_option(const char *uri)
{
    static const char *const names[] = {"tlsCertificateKeyFilePassword=", "sslClientCertificateKeyPassword=",
                                        "proxyPassword=", "AWS_SESSION_TOKEN:"};
    const char *begin = strchr(uri, '?');
    char *options = begin ? strdup(begin) : NULL;
    bool found = begin && !options;
    if (options)
        percent_decode(options);
    for (size_t i = 0; i < sizeof names / sizeof *names && options && !found; i++)
        found = strcasestr(options, names[i]) != NULL;
    free(options);
    return found;
}

static bool from_command_line(const struct kt_settings *settings, const char *name)
{
    const struct kt_option *option = kt_option_find(name, strlen(name), false);
    return option && settings->given[kt_option_index(option)] == KT_GIVEN_COMMAND;
}

static enum kt_status settle_store(const struct kt_settings *settings, const char *name, const char **store,
                                   struct kt_error *err)
{
    const char *given = *store;
    if (given && strncmp(given, "env:", 4) == 0) {
        *store = getenv(given + 4);
        if (!*store || !**store)
            return kt_fail(err, KT_E_USAGE, "--%s %s: there is no such variable in the environment", name,
                           given);
    } else if (kt_store_is_server(given) && (has_password(given) || has_secret_option(given)) &&
               from_command_line(settings, name))
        return kt_fail(
            err, KT_E_USAGE,
            "--%s: a password or token on the command line can be seen by every user of this machine; write "
            "env:NAME, or put the connection string into --config",
            name);
    return KT_OK;
}

enum kt_status kt_server_stores(struct kt_settings *settings, struct kt_error *err)
{
    enum kt_status status = settle_store(settings, "from", &settings->from, err);
    if (status == KT_OK)
        status = settle_store(settings, "to", &settings->to, err);
    for (size_t i = 0; i < settings->key_vaults.count && status == KT_OK; i++)
        status = settle_store(settings, "key-vault", &settings->key_vaults.v[i], err);
    if (settings->key_vaults.count)
        settings->key_vault = settings->key_vaults.v[0];
    return status;
}

static enum kt_status environment_count(const char *name, uint64_t *n, struct kt_error *err)
{
    const char *text = getenv(name);
    if (text && kt_parse_count(text, INT32_MAX, n))
        return KT_OK;
    return kt_fail(err, KT_E_USAGE,
                   "--partition auto: the environment has no number in %s; say --partition i/n", name);
}

/* Array tasks may begin anywhere and leave numbers out: their place counts. */
static enum kt_status read_slurm(uint64_t *part, uint64_t *parts, struct kt_error *err)
{
    uint64_t id = 0, min = 0, step = 1;
    enum kt_status status = environment_count("SLURM_ARRAY_TASK_ID", &id, err);
    if (status == KT_OK)
        status = environment_count("SLURM_ARRAY_TASK_MIN", &min, err);
    if (status == KT_OK)
        status = environment_count("SLURM_ARRAY_TASK_COUNT", parts, err);
    if (status == KT_OK && getenv("SLURM_ARRAY_TASK_STEP"))
        status = environment_count("SLURM_ARRAY_TASK_STEP", &step, err);
    if (status != KT_OK)
        return status;
    if (id < min || step == 0 || (id - min) % step != 0)
        return kt_fail(err, KT_E_USAGE,
                       "--partition auto: Slurm's array does not go in even steps; say --partition i/n");
    *part = (id - min) / step;
    return KT_OK;
}

enum kt_status kt_partition_read(const char *text, int *part, int *parts, struct kt_error *err)
{
    const char *slash = strchr(text, '/');
    uint64_t i = 0, n = 0;
    char first[24];
    enum kt_status status = KT_OK;
    snprintf(first, sizeof first, "%.*s", slash ? (int)(slash - text) : 0, text);
    if (strcmp(text, "auto") == 0)
        status = read_slurm(&i, &n, err);
    else if (!slash || !kt_parse_count(slash + 1, PARTITIONS_MAX, &n) ||
             (strcmp(first, "auto") != 0 && !kt_parse_count(first, PARTITIONS_MAX, &i)))
        return kt_fail(err, KT_E_USAGE, "--partition %.40s: write i/n (i from 0), auto or auto/n", text);
    else if (strcmp(first, "auto") == 0)
        status = environment_count("JOB_COMPLETION_INDEX", &i, err);
    if (status != KT_OK)
        return status;
    if (n == 0 || n > PARTITIONS_MAX || i >= n)
        return kt_fail(err, KT_E_USAGE, "--partition %.40s: i goes from 0 to n - 1", text);
    *part = (int)i;
    *parts = (int)n;
    return KT_OK;
}

/* The guard outlives whatever ends its parent, and holds none of its files open. */
static void serve(int fd)
{
    setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    _exit(kt_guard_main(fd));
}

enum kt_status kt_guard_start(struct kt_guard *guard, struct kt_error *err)
{
    int fds[2];
    *guard = (struct kt_guard){0};
    if (pipe2(fds, O_CLOEXEC) != 0)
        return kt_fail(err, KT_E_IO, "no pipe for the guard process: %s", strerror(errno));
    guard->pid = fork();
    if (guard->pid == 0) {
        close(fds[1]);
        serve(fds[0]);
    }
    close(fds[0]);
    guard->fd = fds[1];
    if (guard->pid > 0)
        return KT_OK;
    close(fds[1]);
    *guard = (struct kt_guard){0};
    return kt_fail(err, KT_E_IO, "no guard process: %s", strerror(errno));
}

void kt_guard_end(struct kt_guard *guard)
{
    if (!guard->fd)
        return;
    close(guard->fd);
    /* One that still has to reach a server goes on by itself. */
    for (int i = 0; i < 100 && waitpid(guard->pid, NULL, WNOHANG) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    *guard = (struct kt_guard){0};
}

enum kt_status kt_ask(struct kt_screen *screen, const char *question, struct kt_error *err)
{
    char answer[16] = "";
    if (!isatty(STDIN_FILENO))
        return kt_fail(err, KT_E_USAGE, "%s There is no terminal to ask on; say --yes", question);
    pthread_mutex_lock(&screen->lock);
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    pthread_mutex_unlock(&screen->lock);
    bool yes = fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
    return yes ? KT_OK : kt_fail(err, KT_E_USAGE, "declined");
}
