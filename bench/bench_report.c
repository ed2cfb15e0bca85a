/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_report.h"

#include <string.h>

static void cpu_model(char *model, size_t capacity)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(model, capacity, "unknown CPU");
    while (f && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value) {
            value[strcspn(value, "\n")] = 0;
            snprintf(model, capacity, "%s", value + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

static void size_text(char *text, size_t capacity, const struct bench_row *row)
{
    if (row->op == BENCH_REWRAP)
        snprintf(text, capacity, "DEK");
    else if (row->size == BENCH_MIX_8_100)
        snprintf(text, capacity, "8-100");
    else if (row->size == BENCH_MIX_REAL)
        snprintf(text, capacity, "real mix");
    else
        snprintf(text, capacity, "%d", row->size);
}

void bench_print_machine(FILE *out, const struct bench_peer *peers, size_t count, struct bench_rates rates)
{
    char model[128];
    const char *name, *why_not;
    cpu_model(model, sizeof model);
    fprintf(out, "%s, %.2f GHz now", model, bench_ghz());
    if (rates.add > 0)
        fprintf(out, "; 512-bit operations a cycle: %.2f additions, %.2f rotations, %.2f AES rounds",
                rates.add, rates.rotate, rates.aes);
    fprintf(out, "\n");
    bool chosen = false;
    for (size_t i = 0; i < kt_engine_backends(i, &name, &why_not); i++) {
        fprintf(out, "backend %-8s %s\n", name,
                why_not  ? why_not
                : chosen ? "usable"
                         : "usable, chosen by auto");
        chosen |= !why_not;
    }
    for (size_t i = 0; i < count; i++)
        if (strncmp(peers[i].version(), "keyturn", 7) != 0)
            fprintf(out, "peer    %-8s %s\n", peers[i].name, peers[i].version());
}

/* Peers that are no backend of ours: what ratios are taken to. */
static bool is_peer(const struct bench_peer *peer)
{
    return strncmp(peer->version(), "keyturn", 7) != 0;
}

static double ratio(const struct bench_row *row, size_t peer, size_t own)
{
    return row->results[peer].ns_median / row->results[own].ns_median;
}

void bench_print_row(FILE *out, const struct bench_row *row, const struct bench_peer *peers, size_t count)
{
    char size[16];
    size_text(size, sizeof size, row);
    fprintf(out, "\n%s, %s bytes, %zu messages, %zu key%s, %u thread%s", bench_op_name(row->op), size,
            row->count, row->keys, row->keys == 1 ? "" : "s", row->threads, row->threads == 1 ? "" : "s");
    if (row->limit_cycles > 0)
        fprintf(out, "; limit L1 %.0f cycles", row->limit_cycles);
    fprintf(out, "\n  %-10s %9s %9s %9s %9s %9s %8s %7s", "", "ns", "min", "max", "M msg/s", "MB/s", "cycles",
            "c/B");
    fprintf(out, " %6s", "of L1");
    for (size_t i = 0; i < count; i++)
        if (is_peer(&peers[i]) && row->results[i].ran)
            fprintf(out, " x %-10s", peers[i].name);
    fprintf(out, "\n");
    for (size_t i = 0; i < count; i++) {
        const struct bench_result *r = &row->results[i];
        if (!r->ran)
            continue;
        fprintf(out, "  %-10s %9.1f %9.1f %9.1f %9.2f %9.0f %8.0f %7.2f", peers[i].name, r->ns_median,
                r->ns_min, r->ns_max, 1000 / r->ns_median, row->mean_nbytes * 1000 / r->ns_median,
                r->cycles_median, r->cycles_median / row->mean_nbytes);
        if (row->limit_cycles > 0 && row->threads == 1)
            fprintf(out, " %5.0f%%", 100 * row->limit_cycles / r->cycles_median);
        else
            fprintf(out, " %6s", "");
        for (size_t j = 0; j < count; j++)
            if (is_peer(&peers[j]) && row->results[j].ran)
                fprintf(out, " %-12.2f", ratio(row, j, i));
        fprintf(out, "%s\n", r->verified ? "" : "  WRONG OUTPUT");
    }
    fflush(out);
}

/* Least squares of cycles over bytes, sizes 16 to 1,024: what a message costs by itself, and each byte of it.
 */
void bench_print_fit(FILE *out, const struct bench_row *rows, size_t rows_count,
                     const struct bench_peer *peers, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (size_t k = 0; k < rows_count; k++) {
            const struct bench_row *r = &rows[k];
            if (r->op != BENCH_SEAL || r->threads != 1 || r->size < 16 || r->size > 1024 || r->keys != 1 ||
                !r->results[i].ran)
                continue;
            double x = r->size, y = r->results[i].ns_median;
            n++, sx += x, sy += y, sxx += x * x, sxy += x * y;
        }
        if (n < 2)
            continue;
        if (!any)
            fprintf(out, "\nseal with one thread, fitted from 16 to 1,024 bytes:\n");
        any = true;
        double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
        fprintf(out, "  %-10s %7.1f ns a message + %6.3f ns a byte\n", peers[i].name, (sy - slope * sx) / n,
                slope);
    }
}

static void json_result(FILE *out, const struct bench_row *row, const struct bench_peer *peer,
                        const struct bench_result *r)
{
    char size[16];
    size_text(size, sizeof size, row);
    fprintf(
        out,
        "    {\"op\": \"%s\", \"size\": \"%s\", \"meanBytes\": %.2f, \"messages\": %zu, \"keys\": %zu, "
        "\"threads\": %u, \"implementation\": \"%s\", \"nsMin\": %.2f, \"nsMedian\": %.2f, \"nsMax\": %.2f, "
        "\"messagesPerSecond\": %.0f, \"bytesPerSecond\": %.0f, \"cycles\": %.1f, \"cyclesPerByte\": %.3f, "
        "\"limitCycles\": %.1f, \"verified\": %s}",
        bench_op_name(row->op), size, row->mean_nbytes, row->count, row->keys, row->threads, peer->name,
        r->ns_min, r->ns_median, r->ns_max, 1e9 / r->ns_median, row->mean_nbytes * 1e9 / r->ns_median,
        r->cycles_median, r->cycles_median / row->mean_nbytes, row->limit_cycles,
        r->verified ? "true" : "false");
}

bool bench_write_json(FILE *out, const struct bench_row *rows, size_t rows_count,
                      const struct bench_peer *peers, size_t count, struct bench_rates rates, uint64_t seed)
{
    char model[128];
    cpu_model(model, sizeof model);
    fprintf(out, "{\n  \"cpu\": \"%s\",\n  \"ghz\": %.3f,\n  \"seed\": %llu,\n", model, bench_ghz(),
            (unsigned long long)seed);
    fprintf(out, "  \"perCycle\": {\"add\": %.2f, \"rotate\": %.2f, \"aes\": %.2f},\n  \"versions\": {",
            rates.add, rates.rotate, rates.aes);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s\"%s\": \"%s\"", i ? ", " : "", peers[i].name, peers[i].version());
    fprintf(out, "},\n  \"results\": [\n");
    bool any = false;
    for (size_t k = 0; k < rows_count; k++)
        for (size_t i = 0; i < count; i++) {
            if (!rows[k].results[i].ran)
                continue;
            fprintf(out, "%s", any ? ",\n" : "");
            json_result(out, &rows[k], &peers[i], &rows[k].results[i]);
            any = true;
        }
    fprintf(out, "\n  ]\n}\n");
    return fflush(out) == 0 && !ferror(out);
}
