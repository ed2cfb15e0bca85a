/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_report.h"
#include "engine/cpu/features.h"

/* A figure that is not known is null. */
static void number(FILE *out, const char *name, double value, int decimals)
{
    if (value > 0)
        fprintf(out, ", \"%s\": %.*f", name, decimals, value);
    else
        fprintf(out, ", \"%s\": null", name);
}

static void write_result(FILE *out, const struct bench_row *row, const struct bench_peer *peer,
                         const struct bench_result *r)
{
    fprintf(out,
            "    {\"op\": \"%s\", \"size\": \"%s\", \"meanBytes\": %.2f, \"messages\": %zu, \"keys\": %zu, "
            "\"threads\": %u, \"implementation\": \"%s\", \"clock\": \"%s\", \"nsMin\": %.2f, "
            "\"nsMedian\": %.2f, \"nsMax\": %.2f, \"wallNsMedian\": %.2f, \"messagesPerSecond\": %.0f, "
            "\"bytesPerSecond\": %.0f",
            bench_op_name(row->op), bench_size_text(row).s, row->mean_nbytes, row->count, row->keys,
            row->threads, peer->name, row->threads == 1 ? "thread" : "wall", r->ns_min, r->ns_median,
            r->ns_max, r->wall_median, 1e9 / r->ns_median, row->mean_nbytes * 1e9 / r->ns_median);
    number(out, "cycles", r->cycles_median, 1);
    number(out, "cyclesPerByte", r->cycles_median / row->mean_nbytes, 3);
    number(out, "limitCycles", row->limit_cycles, 1);
    fprintf(out, ", \"verified\": %s}", r->verified ? "true" : "false");
}

static void write_machine(FILE *out, const struct bench_rows *all)
{
    const struct bench_machine *m = all->machine;
    fprintf(out, "{\n  \"cpu\": \"%s\",\n  \"features\": [", m->model);
    bool any = false;
    for (size_t i = 0; i < KT_CPU_COUNT; i++)
        if (m->features & ~m->disabled & 1u << i) {
            fprintf(out, "%s\"%s\"", any ? ", " : "", kt_cpu_name(i));
            any = true;
        }
    fprintf(out, "],\n  \"backend\": \"%s\",\n  \"seed\": %llu", m->chosen, (unsigned long long)all->seed);
    number(out, "ghz", m->ghz, 3);
    fprintf(out, ",\n  \"perCycle\": {\"add\": %.2f, \"rotate\": %.2f, \"aes\": %.2f},\n  \"versions\": {",
            m->rates.add, m->rates.rotate, m->rates.aes);
    for (size_t i = 0; i < all->peers_count; i++)
        fprintf(out, "%s\"%s\": \"%s\"", i ? ", " : "", all->peers[i].name, all->peers[i].version());
    fprintf(out, "},\n  \"results\": [\n");
}

bool bench_write_json(FILE *out, const struct bench_rows *all)
{
    bool any = false;
    write_machine(out, all);
    for (size_t k = 0; k < all->rows_count; k++)
        for (size_t i = 0; i < all->peers_count; i++) {
            if (!all->rows[k].results[i].ran)
                continue;
            fprintf(out, "%s", any ? ",\n" : "");
            write_result(out, &all->rows[k], &all->peers[i], &all->rows[k].results[i]);
            any = true;
        }
    fprintf(out, "\n  ]\n}\n");
    return fflush(out) == 0 && !ferror(out);
}
