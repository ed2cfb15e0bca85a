/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine_bench.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench_report.h"

#define ROWS_MAX 64
#define CACHED 1024    /* messages of a load that stays in the caches */
#define BEYOND 1000000 /* and of one that does not */

struct options {
    const char *json, *only_op, *only_peer;
    uint64_t seed;
    unsigned threads;
    bool list, quick;
};

struct item {
    enum bench_op op;
    int size;
    size_t count, keys;
};

/* What is measured, in this order. 0 keys: one for each message. */
static const struct item items[] = {
    {BENCH_SEAL, 1, CACHED, 1},
    {BENCH_SEAL, 8, CACHED, 1},
    {BENCH_SEAL, 16, CACHED, 1},
    {BENCH_SEAL, 32, CACHED, 1},
    {BENCH_SEAL, 64, CACHED, 1},
    {BENCH_SEAL, 100, CACHED, 1},
    {BENCH_SEAL, 256, CACHED, 1},
    {BENCH_SEAL, 1024, CACHED, 1},
    {BENCH_SEAL, 4096, 256, 1},
    {BENCH_SEAL, 16384, 64, 1},
    {BENCH_SEAL, 54, 4096, 1},
    {BENCH_SEAL, BENCH_MIX_8_100, 4096, 1},
    {BENCH_SEAL, BENCH_MIX_REAL, 4096, 6},
    {BENCH_SEAL, BENCH_MIX_8_100, BEYOND, 1},
    {BENCH_SEAL_RANDOM, 16, CACHED, 1},
    {BENCH_SEAL_RANDOM, 64, CACHED, 1},
    {BENCH_SEAL_DETERMINISTIC, 16, CACHED, 1},
    {BENCH_SEAL_DETERMINISTIC, 32, CACHED, 1},
    {BENCH_SEAL_DETERMINISTIC, 64, CACHED, 1},
    {BENCH_OPEN, 16, CACHED, 1},
    {BENCH_OPEN, 32, CACHED, 1},
    {BENCH_OPEN, 64, CACHED, 1},
    {BENCH_OPEN, 256, CACHED, 1},
    {BENCH_OPEN, 1024, CACHED, 1},
    {BENCH_OPEN, 16384, 64, 1},
    {BENCH_OPEN, BENCH_MIX_REAL, 4096, 6},
    {BENCH_REWRAP, 96, CACHED, 2},
    {BENCH_SEAL_KEYS, 16, CACHED, 0},
    {BENCH_SEAL_KEYS, 64, CACHED, 0},
};
#define ITEMS (sizeof items / sizeof items[0])

static void usage(FILE *out)
{
    fprintf(out,
            "usage: keyturn bench engine [--list] [--quick] [--threads N] [--op NAME] [--peer NAME]\n"
            "                            [--seed N] [--json FILE]\n"
            "  --list      what this CPU has, which backends it can use and which one is chosen\n"
            "  --quick     a tenth of the time; good to 10%%\n"
            "  --threads   measure with 1 and with N threads (default: 1 and as many as there are CPUs)\n"
            "  --op        only this operation: seal, seal-random, seal-deterministic, open, rewrap,\n"
            "              seal-new-keys\n"
            "  --peer      only this implementation, beside openssl\n"
            "  --seed      of keys, plaintexts and lengths (default 1)\n"
            "  --json      write the results to FILE; - is stdout\n");
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"list", no_argument, NULL, 'l'},
                                          {"quick", no_argument, NULL, 'q'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"op", required_argument, NULL, 'o'},
                                          {"peer", required_argument, NULL, 'p'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (struct options){.seed = 1, .threads = online > 64 ? 64 : online > 0 ? (unsigned)online : 1};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        char *end = NULL;
        if (c == 'l')
            o->list = true;
        else if (c == 'q')
            o->quick = true;
        else if (c == 't')
            o->threads = (unsigned)strtoul(optarg, &end, 10);
        else if (c == 's')
            o->seed = strtoull(optarg, &end, 0);
        else if (c == 'o')
            o->only_op = optarg;
        else if (c == 'p')
            o->only_peer = optarg;
        else if (c == 'j')
            o->json = optarg;
        else
            return false;
        if (end && (*end || end == optarg))
            return false;
    }
    return optind == argc && o->threads >= 1 && o->threads <= 64;
}

/* The row's loads, one for each thread, and its measurement. Returns false when memory ran out. */
static bool measure(const struct options *o, const struct item *item, unsigned threads,
                    const struct bench_peer *peers, size_t count, struct bench_rates rates,
                    struct bench_row *row)
{
    struct bench_load *loads[64] = {0};
    size_t messages = item->count == BEYOND && o->quick ? BEYOND / 4 : item->count;
    bool good = true;
    for (unsigned t = 0; t < threads && good; t++) {
        loads[t] = bench_load_new(item->op, item->size, messages, item->keys, o->seed + t);
        good = loads[t] != NULL;
    }
    if (good) {
        const struct bench_load *l = loads[0];
        double n = (double)messages;
        *row = (struct bench_row){
            .op = item->op,
            .size = item->size,
            .count = messages,
            .keys = l->keys_count,
            .threads = threads,
            .mean_nbytes = (double)l->plain_nbytes / n,
            .limit_cycles = item->op == BENCH_SEAL_KEYS
                                ? 0
                                : bench_limit(rates, (double)l->hash_blocks / n, (double)l->aes_blocks / n)};
        struct bench_plan plan = {
            .trials = o->quick ? 5 : 15, .trial_ns = o->quick ? 3000000 : 20000000, .threads = threads};
        good = bench_run(&plan, peers, count, loads, row->results);
    }
    for (unsigned t = 0; t < threads; t++)
        bench_load_free(loads[t]);
    return good;
}

static size_t choose_peers(const struct options *o, struct bench_peer *peers)
{
    size_t all = bench_peers(peers), count = 0;
    for (size_t i = 0; i < all; i++)
        if (!o->only_peer || strcmp(peers[i].name, o->only_peer) == 0 ||
            strcmp(peers[i].name, "openssl") == 0)
            peers[count++] = peers[i];
    return count;
}

static bool wanted(const struct options *o, const struct item *item, unsigned threads)
{
    if (o->only_op && strcmp(bench_op_name(item->op), o->only_op) != 0)
        return false;
    return threads == 1 ||
           (item->op == BENCH_SEAL && (item->size == 16 || item->size == 64 || item->size == BENCH_MIX_REAL));
}

int kt_bench_engine(int argc, char **argv)
{
    static struct bench_row rows[ROWS_MAX];
    struct bench_peer peers[BENCH_PEERS_MAX];
    struct options o;
    if (!parse(argc, argv, &o)) {
        usage(stderr);
        return 2;
    }
    FILE *json = o.json && strcmp(o.json, "-") != 0 ? fopen(o.json, "w") : stdout;
    FILE *text = o.json && json == stdout ? stderr : stdout;
    if (!json) {
        fprintf(stderr, "bench: cannot write %s\n", o.json);
        return 4;
    }
    size_t count = choose_peers(&o, peers), n = 0;
    struct bench_rates rates = bench_rates();
    bench_print_machine(text, peers, count, rates);
    bool good = true;
    for (unsigned pass = 0; pass < 2 && !o.list; pass++)
        for (size_t i = 0; i < ITEMS && n < ROWS_MAX; i++) {
            unsigned threads = pass ? o.threads : 1;
            if ((pass && o.threads == 1) || !wanted(&o, &items[i], threads))
                continue;
            if (!measure(&o, &items[i], threads, peers, count, rates, &rows[n])) {
                fprintf(stderr, "bench: memory ran out\n");
                return 4;
            }
            bench_print_row(text, &rows[n], peers, count);
            for (size_t k = 0; k < count; k++)
                good &= !rows[n].results[k].ran || rows[n].results[k].verified;
            n++;
        }
    if (n > 0)
        bench_print_fit(text, rows, n, peers, count);
    if (o.json && !bench_write_json(json, rows, n, peers, count, rates, o.seed))
        return 4;
    if (json != stdout)
        fclose(json);
    return good ? 0 : 1;
}
