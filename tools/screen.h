/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to stderr: log lines, the progress line, endings. One lock keeps them from tearing each other. */
#ifndef KT_TOOLS_SCREEN_H
#define KT_TOOLS_SCREEN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "keyturn/log.h"
#include "keyturn/status.h"

/* So many document failures does a job log one by one; the failures file has them all. */
#define KT_SCREEN_FAILURES 10

struct kt_screen {
    pthread_mutex_t lock;
    bool terminal, json, quiet;
    bool drawn; /* a progress line stands on the terminal */
    char progress[300];
    struct kt_log log; /* for the library */
};

void kt_screen_open(struct kt_screen *screen, bool json, bool quiet, bool verbose);
void kt_screen_close(struct kt_screen *screen);

/* A line for people; nothing when quiet. advice: what may be done next; only on a terminal and in text. */
void kt_screen_note(struct kt_screen *screen, const char *fmt, ...) KT_PRINTF(2, 3);
void kt_screen_advice(struct kt_screen *screen, const char *fmt, ...) KT_PRINTF(2, 3);
void kt_screen_error(struct kt_screen *screen, int exit, const char *message, const char *ending);

/* Draws, replaces or (NULL) removes the progress line; elsewhere than on a terminal prints it. */
void kt_screen_progress(struct kt_screen *screen, const char *line);

/* One line as it is, for JSON that the caller has made. */
void kt_screen_raw(struct kt_screen *screen, const char *line);

/* Refused before anything was done: says so and returns 2. screen NULL: plain text. */
int kt_screen_refused(struct kt_screen *screen, const struct kt_error *err);

/* Flushes stdout. Returns exit_status, or 4 with a message when stdout could not take everything. */
int kt_screen_flush(int exit_status);

#endif
