/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench_load.h"

static void usage(FILE *out)
{
    fprintf(out,
            "usage: keyturn bench engine [--list] [--quick] [--threads N] [--op NAME] [--size SIZE]\n"
            "                            [--peer NAME] [--backend NAME] [--seed N] [--json FILE]\n"
            "                            [--html FILE]\n"
            "  --list      what this CPU has, which backends it can use and which one is chosen\n"
            "  --quick     a tenth of the time; good to 10%%\n"
            "  --threads   measure with 1 and with N threads (default: 1 and as many as there are CPUs)\n"
            "  --op        only this operation:");
    for (int op = 0; op < BENCH_OPS; op++)
        fprintf(out, "%s %s", op == 4 ? "\n             " : "", bench_op_name(op));
    fprintf(out, "\n"
                 "  --size      only this size: a number of bytes, 8-100, \"real mix\", or DEK\n"
                 "  --peer      only this implementation, beside openssl\n"
                 "  --backend   only this backend of keyturn (default: KEYTURN_BACKEND, else all)\n"
                 "  --seed      of keys, plaintexts and lengths (default 1)\n"
                 "  --json      write the results to FILE; - is stdout\n"
                 "  --html      write the table and plots to FILE, one page that needs no other\n"
                 "CPU features that KEYTURN_CPU_DISABLE names count as absent.\n");
}

/* Numbers: the whole text, nothing else. */
static bool number(const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && *end == 0;
}

static bool set(struct bench_options *o, int option)
{
    uint64_t threads = 0;
    switch (option) {
    case 'l':
        return o->list = true;
    case 'q':
        return o->quick = true;
    case 't':
        if (!number(optarg, &threads) || threads < 1 || threads > 64)
            return false;
        o->threads = (unsigned)threads;
        return true;
    case 's':
        return number(optarg, &o->seed);
    case 'o':
        o->only_op = optarg;
        return true;
    case 'z':
        o->only_size = optarg;
        return true;
    case 'p':
        o->only_peer = optarg;
        return true;
    case 'b':
        o->backend = optarg;
        return true;
    case 'j':
        o->json = optarg;
        return true;
    case 'w':
        o->html = optarg;
        return true;
    default:
        return false;
    }
}

static bool op_known(const char *name)
{
    for (int op = 0; op < BENCH_OPS; op++)
        if (strcmp(bench_op_name(op), name) == 0)
            return true;
    return false;
}

static bool refuse(int *exit)
{
    usage(stderr);
    *exit = 2;
    return false;
}

bool bench_options_parse(int argc, char **argv, const char *backend, struct bench_options *o, int *exit)
{
    static const struct option longs[] = {
        {"list", no_argument, NULL, 'l'},          {"quick", no_argument, NULL, 'q'},
        {"threads", required_argument, NULL, 't'}, {"op", required_argument, NULL, 'o'},
        {"size", required_argument, NULL, 'z'},    {"peer", required_argument, NULL, 'p'},
        {"backend", required_argument, NULL, 'b'}, {"seed", required_argument, NULL, 's'},
        {"json", required_argument, NULL, 'j'},    {"html", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (struct bench_options){.seed = 1,
                                .backend = backend,
                                .threads = online > 64  ? 64
                                           : online > 0 ? (unsigned)online
                                                        : 1};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout);
            *exit = fflush(stdout) == 0 ? 0 : 4;
            return false;
        }
        if (!set(o, c))
            return refuse(exit);
    }
    if (o->only_op && !op_known(o->only_op)) {
        fprintf(stderr, "bench: there is no operation \"%.40s\"\n", o->only_op);
        return refuse(exit);
    }
    if (o->json && o->html && strcmp(o->json, "-") == 0 && strcmp(o->html, "-") == 0) {
        fprintf(stderr, "bench: only one of --json and --html can go to stdout\n");
        return refuse(exit);
    }
    if (optind != argc)
        return refuse(exit);
    if (o->backend && (!*o->backend || strcmp(o->backend, "auto") == 0))
        o->backend = NULL;
    return true;
}
