/* SPDX-License-Identifier: Apache-2.0 */
/* A fast responder for load tests, shaped like AWS KMS (Encrypt, Decrypt, ReEncrypt) over TLS and HTTP/1.1
 * with connections kept. It checks no signatures, but wraps for real: AES-256-GCM under a key made from the
 * KeyId, so that what comes back proves which bytes and which CMK were sent. One thread.
 *
 *   fast_kms CERT.pem [delay=MS [spread=SIGMA]] [quota=PER_SECOND] [throttle=%] [error=%] [reset=%]
 * [truncate=%] [expires=CALLS]
 *
 * spread: latencies are log-normal, their p99 exp(2.33 SIGMA) times the delay. Prints {"port": N}, and on
 * SIGTERM its figures. Credentials have expired for a session token "exp-MS" after that UTC time; expires:
 * for everybody after so many calls. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/servers/fast_aws.h"
#include "tests/servers/fast_links.h"

static struct {
    double delay, spread, quota, throttle, error, reset, truncate, expires;
} options;
static struct {
    unsigned long requests, served, throttled, errors, resets, truncated, expired;
} figures;
static double bucket, bucket_at;
static volatile sig_atomic_t stop;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool chance(double percent)
{
    return percent > 0 && (double)random() / (double)RAND_MAX * 100 < percent;
}

static bool over_quota(void)
{
    double t = now(CLOCK_MONOTONIC);
    if (options.quota <= 0)
        return false;
    bucket += (t - bucket_at) * options.quota;
    bucket_at = t;
    if (bucket > options.quota)
        bucket = options.quota;
    if (bucket < 1)
        return true;
    bucket -= 1;
    return false;
}

static bool token_expired(const char *head)
{
    char until[40];
    if (!aws_between(head, "ecurity-Token: exp-", "\r", until, sizeof until) &&
        !aws_between(head, "ecurity-token: exp-", "\r", until, sizeof until))
        return false;
    return atof(until) / 1000 < now(CLOCK_REALTIME);
}

/* Seconds: log-normal about the delay. */
static double delay(void)
{
    if (options.spread <= 0)
        return options.delay / 1000;
    double u = ((double)random() + 1) / ((double)RAND_MAX + 1), v = (double)random() / (double)RAND_MAX;
    return options.delay / 1000 * exp(options.spread * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

static void respond(const char *head, const char *body, struct reply *reply)
{
    size_t room = sizeof reply->body;
    figures.requests++;
    if (token_expired(head) || (options.expires > 0 && (double)figures.served >= options.expires)) {
        figures.expired++;
        reply->status = aws_refuse(400, "ExpiredTokenException", reply->body, room);
    } else if (chance(options.throttle) || over_quota()) {
        figures.throttled++;
        reply->status = aws_refuse(400, "ThrottlingException", reply->body, room);
    } else if (chance(options.error)) {
        figures.errors++;
        reply->status = aws_refuse(503, "ServiceUnavailable", reply->body, room);
    } else {
        reply->status = aws_answer(head, body, reply->body, room);
        figures.served += reply->status == 200;
    }
    reply->truncate = chance(options.truncate);
    reply->reset = chance(options.reset);
    reply->delay = delay();
    figures.truncated += reply->truncate;
    figures.resets += reply->reset;
}

static void on_signal(int sign)
{
    (void)sign;
    stop = 1;
}

static void read_options(int argc, char **argv)
{
    static const struct {
        const char *name;
        double *value;
    } known[] = {{"delay=", &options.delay},       {"spread=", &options.spread},  {"quota=", &options.quota},
                 {"throttle=", &options.throttle}, {"error=", &options.error},    {"reset=", &options.reset},
                 {"truncate=", &options.truncate}, {"expires=", &options.expires}};
    for (int i = 2; i < argc; i++)
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (strncmp(argv[i], known[k].name, strlen(known[k].name)) == 0)
                *known[k].value = atof(argv[i] + strlen(known[k].name));
    bucket = options.quota;
    bucket_at = now(CLOCK_MONOTONIC);
}

static void report(const struct links_figures *links)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"requests\": %lu, \"served\": %lu, \"throttled\": %lu, \"errors\": %lu, \"resets\": %lu, "
           "\"truncated\": %lu, "
           "\"expired\": %lu, \"connections\": %lu, \"mostOpen\": %lu, \"cpuSeconds\": %.3f}\n",
           figures.requests, figures.served, figures.throttled, figures.errors, figures.resets,
           figures.truncated, figures.expired, links->links, links->most_open,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    read_options(argc, argv);
    int port = argc < 2 ? -1 : links_open(argv[1]);
    if (port < 0)
        return 2;
    printf("{\"port\": %d}\n", port);
    fflush(stdout);
    links_serve(respond, &stop);
    struct links_figures links = links_close();
    report(&links);
    return 0;
}
