/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/screen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/json_out.h"

/* A message longer than this takes two lines. */
enum { LINE_MAX_NBYTES = 110 };

/* Names and _ids come from data: control characters would let them steer the terminal. */
static void put_clean(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        if (c1)
            fprintf(stderr, "\\x%02x", *++p);
        else if ((*p < 0x20 && *p != '\n') || *p == 0x7f)
            fprintf(stderr, "\\x%02x", *p);
        else
            fputc(*p, stderr);
    }
}

static void erase(struct kt_screen *screen)
{
    if (screen->drawn)
        fputs("\r\033[K", stderr);
    screen->drawn = false;
}

static size_t columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10)
        return size.ws_col;
    return 80;
}

static void draw(struct kt_screen *screen)
{
    if (!screen->terminal || !screen->progress[0])
        return;
    erase(screen);
    fprintf(stderr, "%.*s", (int)(columns() - 1), screen->progress);
    screen->drawn = true;
}

static void put_json(const char *level, int exit, const char *message)
{
    struct kt_json json = {.out = stderr};
    struct timespec now;
    struct tm utc;
    char time[40] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc))
        strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc);
    kt_json_begin(&json, NULL, '{');
    kt_json_text(&json, "time", time);
    kt_json_text(&json, "level", level);
    kt_json_text(&json, "message", message);
    if (exit >= 0)
        kt_json_count(&json, "exit", (uint64_t)exit);
    kt_json_end(&json, '{');
    fputc('\n', stderr);
}

static void put_line(struct kt_screen *screen, const char *level, const char *prefix, const char *text)
{
    pthread_mutex_lock(&screen->lock);
    erase(screen);
    if (screen->json)
        put_json(level, -1, text);
    else {
        fputs(prefix, stderr);
        put_clean(text);
        fputc('\n', stderr);
    }
    draw(screen);
    fflush(stderr);
    pthread_mutex_unlock(&screen->lock);
}

static void log_write(void *context, enum kt_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const struct kt_screen *screen = context;
    if (level <= screen->log.level)
        put_line(context, names[level], "keyturn: ", line);
}

void kt_screen_open(struct kt_screen *screen, bool json, bool quiet, bool verbose)
{
    *screen = (struct kt_screen){.json = json, .quiet = quiet};
    pthread_mutex_init(&screen->lock, NULL);
    screen->terminal = isatty(STDERR_FILENO) && !json;
    screen->log.level = quiet ? KT_LOG_ERROR : verbose ? KT_LOG_DEBUG : KT_LOG_WARN;
    screen->log.write = log_write;
    screen->log.context = screen;
}

void kt_screen_close(struct kt_screen *screen)
{
    kt_screen_progress(screen, NULL);
    pthread_mutex_destroy(&screen->lock);
}

void kt_screen_note(struct kt_screen *screen, const char *fmt, ...)
{
    char line[1200];
    va_list args;
    if (screen->quiet)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    put_line(screen, "info", "", line);
}

void kt_screen_advice(struct kt_screen *screen, const char *fmt, ...)
{
    char line[1200];
    va_list args;
    if (screen->quiet || !screen->terminal)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    put_line(screen, "info", "", line);
}

void kt_screen_error(struct kt_screen *screen, int exit, const char *message, const char *ending)
{
    pthread_mutex_lock(&screen->lock);
    erase(screen);
    screen->progress[0] = 0;
    if (screen->json) {
        put_json("error", exit, message);
    } else {
        size_t nbytes = strlen(message);
        /* "what; way out": the way out goes to the second line when both do not fit on one */
        const char *cut = NULL;
        for (const char *p = message; nbytes + strlen(ending) > LINE_MAX_NBYTES && (p = strstr(p, "; ")); p++)
            cut = p;
        bool question = nbytes && strchr("?.!", message[nbytes - 1]);
        fputs("keyturn: ", stderr);
        if (cut) {
            char head[1200];
            snprintf(head, sizeof head, "%.*s", (int)(cut - message + 1), message);
            put_clean(head);
            fputs("\n  ", stderr);
            put_clean(cut + 2);
        } else
            put_clean(message);
        bool wrap = !cut && nbytes + strlen(ending) > LINE_MAX_NBYTES;
        fprintf(stderr, "%s%s%s (exit %d)\n", question ? "" : ".", wrap ? "\n  " : " ", ending, exit);
    }
    fflush(stderr);
    pthread_mutex_unlock(&screen->lock);
}

void kt_screen_progress(struct kt_screen *screen, const char *line)
{
    pthread_mutex_lock(&screen->lock);
    snprintf(screen->progress, sizeof screen->progress, "%s", line ? line : "");
    if (!line)
        erase(screen);
    else if (screen->terminal)
        draw(screen);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    pthread_mutex_unlock(&screen->lock);
}

void kt_screen_raw(struct kt_screen *screen, const char *line)
{
    pthread_mutex_lock(&screen->lock);
    fprintf(stderr, "%s\n", line);
    fflush(stderr);
    pthread_mutex_unlock(&screen->lock);
}

int kt_screen_refused(struct kt_screen *screen, const struct kt_error *err)
{
    struct kt_screen plain;
    if (!screen)
        kt_screen_open(&plain, false, false, false);
    kt_screen_error(screen ? screen : &plain, 2, err->message, "Nothing was touched.");
    if (!screen)
        kt_screen_close(&plain);
    return 2;
}

int kt_screen_flush(int exit_status)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (failed)
        fprintf(stderr, "keyturn: stdout: %s\n", strerror(errno));
    return failed && exit_status == 0 ? 4 : exit_status;
}
