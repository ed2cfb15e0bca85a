/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that waits for signals and draws the progress. */
#ifndef KT_TOOLS_WATCH_H
#define KT_TOOLS_WATCH_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "keyturn/job.h"
#include "tools/screen.h"

struct kt_watch {
    pthread_t thread;
    struct kt_screen *screen;
    const struct kt_job_options *options;
    _Atomic(struct kt_job *) job;
    atomic_bool done;
    sigset_t signals;
    int stops;                    /* how often a stop was asked for; the thread's */
    struct kt_job_progress first; /* where this run began */
    bool begun;
};

/* Blocks SIGINT, SIGTERM, SIGHUP and SIGUSR1 for the whole process and waits for them: the first three ask
 * the job to stop, a second one ends the process at once with exit status 3 (before the job runs, the first
 * does); SIGUSR1 prints the progress. Signals that were ignored stay ignored. Call it before any other thread
 * is there; options stay until it ends. KT_OK or KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_watch_start(struct kt_watch *watch, struct kt_screen *screen,
                                          const struct kt_job_options *options, struct kt_error *err);

/* The job that runs from now on. */
void kt_watch_job(struct kt_watch *watch, struct kt_job *job);

/* Ends the thread and removes the progress line; before kt_job_close. */
void kt_watch_stop(struct kt_watch *watch);

#endif
