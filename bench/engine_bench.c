/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine_bench.h"

#include <string.h>

#include "bench/bench_options.h"
#include "bench/bench_report.h"

#define ROWS_MAX 64
#define CACHED 1024    /* messages of a load that stays in the caches */
#define BEYOND 1000000 /* and of one that does not */

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
    {BENCH_SEAL, 32, 1, 1},
    {BENCH_SEAL, 32, 3, 1},
    {BENCH_SEAL, 32, 17, 1},
    {BENCH_SEAL, 32, 33, 1},
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

struct bench {
    struct bench_options options;
    struct kt_engine_options engine;
    struct bench_machine machine;
    struct bench_peer peers[BENCH_PEERS_MAX];
    size_t peers_count;
    struct bench_row rows[ROWS_MAX];
    size_t rows_count;
    FILE *text;
};

static struct bench_rows rows_of(const struct bench *b)
{
    return (struct bench_rows){&b->machine, b->peers,      b->peers_count,
                               b->rows,     b->rows_count, b->options.seed};
}

/* The row's loads, one for each thread, and its measurement. Returns false when memory ran out. */
static bool measure(struct bench *b, const struct item *item, unsigned threads)
{
    struct bench_load *loads[64] = {0};
    const bool quick = b->options.quick;
    size_t messages = item->count == BEYOND && quick ? BEYOND / 4 : item->count;
    bool good = true;
    for (unsigned t = 0; t < threads && good; t++) {
        loads[t] = bench_load_new(item->op, item->size, messages, item->keys, b->options.seed + t);
        good = loads[t] != NULL;
    }
    if (good) {
        const struct bench_load *l = loads[0];
        double n = (double)messages,
               limit = bench_limit(b->machine.rates, (double)l->hash_blocks / n, (double)l->aes_blocks / n);
        struct bench_row *row = &b->rows[b->rows_count++];
        *row = (struct bench_row){.op = item->op,
                                  .size = item->size,
                                  .count = messages,
                                  .keys = l->keys_count,
                                  .threads = threads,
                                  .mean_nbytes = (double)l->plain_nbytes / n,
                                  .limit_cycles = item->op == BENCH_SEAL_KEYS ? 0 : limit};
        struct bench_plan plan = {
            .trials = quick ? 5 : 15, .trial_ns = quick ? 3000000 : 20000000, .threads = threads};
        good = bench_run(&plan, b->peers, b->peers_count, loads, row->results);
    }
    for (unsigned t = 0; t < threads; t++)
        bench_load_free(loads[t]);
    return good;
}

static bool wanted(const struct bench_options *o, const struct item *item, unsigned threads)
{
    if (o->only_op && strcmp(bench_op_name(item->op), o->only_op) != 0)
        return false;
    const struct bench_row row = {.op = item->op, .size = item->size};
    if (o->only_size && strcmp(bench_size_text(&row).s, o->only_size) != 0)
        return false;
    return threads == 1 || (item->op == BENCH_SEAL && item->count >= CACHED &&
                            (item->size == 16 || item->size == 64 || item->size == BENCH_MIX_REAL));
}

/* First all rows with one thread, then those with several. */
static bool measure_all(struct bench *b)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < ITEMS && b->rows_count < ROWS_MAX; i++) {
            unsigned threads = pass ? b->options.threads : 1;
            if ((pass && threads == 1) || !wanted(&b->options, &items[i], threads))
                continue;
            if (!measure(b, &items[i], threads)) {
                fprintf(stderr, "bench: memory ran out\n");
                return false;
            }
            struct bench_rows rows = rows_of(b);
            bench_print_row(b->text, &rows);
        }
    struct bench_rows rows = rows_of(b);
    bench_print_summary(b->text, &rows);
    return true;
}

static bool any_wanted(const struct bench_options *o)
{
    for (size_t i = 0; i < ITEMS; i++)
        if (wanted(o, &items[i], 1))
            return true;
    fprintf(stderr, "bench: that operation is not measured with size \"%.40s\"\n", o->only_size);
    return false;
}

static void complain(void *context, enum kt_log_level level, const char *line)
{
    (void)context;
    (void)level;
    fprintf(stderr, "bench: %s\n", line);
}

/* Reads the machine and finds the peers. Returns an exit status. */
static int set_up(struct bench *b)
{
    static const struct kt_log log = {KT_LOG_WARN, complain, NULL};
    struct kt_error err;
    b->engine.log = &log;
    enum kt_status status = bench_machine_read(&b->machine, &b->engine, &err);
    if (status != KT_OK) {
        fprintf(stderr, "bench: %s\n", err.message);
        return status == KT_E_USAGE ? 2 : 4;
    }
    const char *only = b->options.only_peer;
    bool found = !only;
    size_t all = bench_peers(&b->engine, b->peers);
    for (size_t i = 0; i < all; i++) {
        bool named = only && strcmp(b->peers[i].name, only) == 0;
        found |= named;
        if (!only || named || strcmp(b->peers[i].name, "openssl") == 0)
            b->peers[b->peers_count++] = b->peers[i];
    }
    if (!found)
        fprintf(stderr, "bench: there is no implementation \"%.40s\" here\n", only);
    return found ? 0 : 2;
}

static FILE *open_output(const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (!f)
        fprintf(stderr, "bench: cannot write %s\n", path);
    return f;
}

/* Closes what was opened; returns false when bytes are missing. */
static bool close_output(FILE *f, const char *path, bool good)
{
    if (f != stdout)
        good = fclose(f) == 0 && good;
    if (!good)
        fprintf(stderr, "bench: cannot write %s\n", path);
    return good;
}

static bool write_files(const struct bench *b, FILE *json, FILE *html)
{
    struct bench_rows rows = rows_of(b);
    bool good = true;
    if (json)
        good &= close_output(json, b->options.json, bench_write_json(json, &rows));
    if (html)
        good &= close_output(html, b->options.html, bench_write_html(html, &rows));
    return good;
}

static bool all_verified(const struct bench *b)
{
    for (size_t k = 0; k < b->rows_count; k++)
        for (size_t i = 0; i < b->peers_count; i++)
            if (b->rows[k].results[i].ran && !b->rows[k].results[i].verified)
                return false;
    return true;
}

int kt_bench_engine(int argc, char **argv, const char *backend, const char *cpu_disable)
{
    static struct bench b;
    int exit;
    if (!bench_options_parse(argc, argv, backend, &b.options, &exit))
        return exit;
    if (!any_wanted(&b.options))
        return 2;
    b.engine = (struct kt_engine_options){.backend = b.options.backend, .cpu_disable = cpu_disable};
    exit = set_up(&b);
    if (exit)
        return exit;
    FILE *json = NULL, *html = NULL;
    if ((b.options.json && !(json = open_output(b.options.json))) ||
        (b.options.html && !(html = open_output(b.options.html))))
        return 4;
    b.text = json == stdout || html == stdout ? stderr : stdout;
    bench_machine_print(b.text, &b.machine, &b.engine, b.peers, b.peers_count);
    if (!b.options.list && !measure_all(&b))
        return 4;
    if (!write_files(&b, json, html) || fflush(stdout) != 0)
        return 4;
    return all_verified(&b) ? 0 : 1;
}
