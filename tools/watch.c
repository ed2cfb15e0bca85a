/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/ending.h"
#include "tools/format.h"
#include "tools/json_out.h"

/* How often it looks whether a job rests, before it stops the process all the same: half a minute. */
#define HALT_LOOKS 3000

/* How long a job that is asked to stop may wait for answers of a KMS. */
#define STOP_PATIENCE_NS 5000000000u

static const struct timespec stop_pause = {0, 500000000};
/* A terminal is drawn five times a second; a log gets a line each 10 s. */
static const struct timespec terminal_pause = {0, 200000000}, log_pause = {10, 0};

/* Documents a second and seconds left of this run; 0 when nothing can be said yet. */
static void estimate(const struct kt_watch *watch, const struct kt_job_progress *now, double *rate,
                     double *left)
{
    const struct kt_job_progress *first = &watch->first;
    double seconds = now->seconds - first->seconds;
    *rate = *left = 0;
    if (seconds < 0.1 || now->documents <= first->documents)
        return;
    *rate = (double)(now->documents - first->documents) / seconds;
    if (now->nbytes_total > now->nbytes_done && now->nbytes_done > first->nbytes_done)
        *left = (double)(now->nbytes_total - now->nbytes_done) * seconds /
                (double)(now->nbytes_done - first->nbytes_done);
}

static void draw_text(struct kt_watch *watch, const struct kt_job_progress *now, double rate, double left)
{
    char line[300];
    const char *unit = watch->options->kind == KT_JOB_REWRAP ? "DEKs" : "documents";
    size_t at = (size_t)snprintf(line, sizeof line, "  %s %s", kt_count_text(now->documents).s, unit);
    int percent = kt_ending_percent(now);
    if (percent >= 0)
        at += (size_t)snprintf(line + at, sizeof line - at, "   %d%%", percent);
    if (rate > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, "   %s/s", kt_count_text((uint64_t)rate).s);
    if (now->has_kms)
        at += (size_t)snprintf(line + at, sizeof line - at, "   in flight %u   throttled %s", now->in_flight,
                               kt_count_text(now->throttled).s);
    if (now->redone)
        at += (size_t)snprintf(line + at, sizeof line - at, "   redone %s", kt_count_text(now->redone).s);
    at += (size_t)snprintf(line + at, sizeof line - at, "   failed %s", kt_count_text(now->failed).s);
    if (left > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, "   %s left", kt_duration_text(left).s);
    if (now->waiting_for)
        snprintf(line + at, sizeof line - at, "   waiting for: %.60s", now->waiting_for);
    kt_screen_progress(watch->screen, line);
}

static void draw_json(struct kt_watch *watch, const struct kt_job_progress *now, double rate, double left)
{
    char *line = NULL;
    size_t nbytes;
    struct kt_json json = {.out = open_memstream(&line, &nbytes)};
    if (!json.out)
        return;
    kt_json_begin(&json, NULL, '{');
    kt_json_text(&json, "level", "info");
    kt_json_text(&json, "event", "progress");
    kt_json_count(&json, "documents", now->documents);
    kt_json_count(&json, "values", now->values);
    kt_json_count(&json, "failed", now->failed);
    kt_json_count(&json, "redone", now->redone);
    kt_json_count(&json, "bytesDone", now->nbytes_done);
    kt_json_count(&json, "bytesTotal", now->nbytes_total);
    kt_json_seconds(&json, "seconds", now->seconds);
    kt_json_seconds(&json, "perSecond", rate);
    kt_json_seconds(&json, "secondsLeft", left);
    if (now->has_kms) {
        kt_json_count(&json, "inFlight", now->in_flight);
        kt_json_count(&json, "throttled", now->throttled);
    }
    kt_json_text(&json, "waitingFor", now->waiting_for);
    kt_json_end(&json, '{');
    if (fclose(json.out) == 0 && line)
        kt_screen_raw(watch->screen, line);
    free(line);
}

static bool ready(const struct kt_watch *watch)
{
    return atomic_load(&watch->job) && !watch->stops;
}

static void draw(struct kt_watch *watch)
{
    struct kt_job *job = atomic_load(&watch->job);
    struct kt_job_progress now = {0};
    double rate, left;
    if (!job || watch->stops) {
        kt_screen_note(watch->screen, job ? "  stopping" : "  preparing; nothing is written yet");
        return;
    }
    kt_job_progress(job, &now);
    if (!watch->begun || now.seconds < watch->first.seconds) {
        watch->first = now;
        watch->begun = true;
    }
    estimate(watch, &now, &rate, &left);
    if (watch->screen->json)
        draw_json(watch, &now, rate, left);
    else
        draw_text(watch, &now, rate, left);
}

static void stop(struct kt_watch *watch)
{
    struct kt_job *job = atomic_load(&watch->job);
    if (job && watch->stops++ == 0) {
        kt_screen_progress(watch->screen, NULL);
        kt_screen_note(watch->screen,
                       "Stopping: batches under way are written first; once more stops at once");
        kt_job_stop(job);
        return;
    }
    kt_screen_error(watch->screen, 3, job ? "stopped at once" : "stopped before the job began",
                    !job                                  ? "The same command does it from the beginning."
                    : kt_ending_resumable(watch->options) ? "The same command goes on from what is written."
                                                          : KT_ENDING_ANEW);
    /* what lies on disk is whole at any instant, and locked memory ends with the process */
    _exit(3);
}

/* Stops the process when no transaction is open, so that no application waits for one meanwhile. */
static void halt(struct kt_watch *watch)
{
    struct kt_job *job = atomic_load(&watch->job);
    struct kt_job_progress now = {.resting = true};
    bool paused = false;
    if (job) {
        paused = kt_job_pause(job, true);
        for (int i = 0; i < HALT_LOOKS; i++) {
            kt_job_progress(job, &now);
            if (now.resting || atomic_load(&watch->done))
                break;
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
    }
    kt_screen_progress(watch->screen, NULL);
    raise(SIGSTOP);
    if (job)
        kt_job_pause(job, paused);
}

static void *watch_main(void *context)
{
    struct kt_watch *watch = context;
    const struct timespec *pause = watch->screen->terminal ? &terminal_pause : &log_pause;
    uint64_t stopping_ns = 0;
    while (!atomic_load(&watch->done)) {
        int sig = sigtimedwait(&watch->signals, NULL, watch->stops ? &stop_pause : pause);
        if (atomic_load(&watch->done))
            break;
        if (watch->stops && stopping_ns == 0)
            stopping_ns = kt_clock_ns();
        else if (watch->stops && kt_clock_ns() - stopping_ns > STOP_PATIENCE_NS)
            kt_job_stop_waiting(atomic_load(&watch->job));
        if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
            stop(watch);
        else if (sig == SIGUSR2 && atomic_load(&watch->job))
            kt_job_pause(atomic_load(&watch->job), false);
        else if (sig == SIGTSTP)
            halt(watch);
        else if (sig == SIGUSR1) {
            if (atomic_load(&watch->job))
                kt_job_pause(atomic_load(&watch->job), true);
            draw(watch);
        } else if ((errno == EAGAIN && !watch->screen->quiet && ready(watch)))
            draw(watch);
    }
    return NULL;
}

enum kt_status kt_watch_start(struct kt_watch *watch, struct kt_screen *screen,
                              const struct kt_job_options *options, struct kt_error *err)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};
    struct sigaction old;
    *watch = (struct kt_watch){.screen = screen, .options = options};
    sigemptyset(&watch->signals);
    sigaddset(&watch->signals, SIGUSR1);
    sigaddset(&watch->signals, SIGUSR2);
    /* who started us with a signal ignored (nohup) wants it ignored; sigtimedwait would still see it */
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaddset(&watch->signals, stops[i]);
    pthread_sigmask(SIG_BLOCK, &watch->signals, NULL);
    int failed = pthread_create(&watch->thread, NULL, watch_main, watch);
    if (failed)
        return kt_fail(err, KT_E_NOMEM, "no thread for signals: %s", strerror(failed));
    return KT_OK;
}

void kt_watch_job(struct kt_watch *watch, struct kt_job *job)
{
    atomic_store(&watch->job, job);
}

void kt_watch_stop(struct kt_watch *watch)
{
    atomic_store(&watch->done, true);
    pthread_kill(watch->thread, SIGUSR1);
    pthread_join(watch->thread, NULL);
    kt_screen_progress(watch->screen, NULL);
}
