/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_report.h"

#include <string.h>

struct bench_text bench_size_text(const struct bench_row *row)
{
    struct bench_text t;
    if (row->op == BENCH_REWRAP)
        snprintf(t.s, sizeof t.s, "DEK");
    else if (row->size == BENCH_MIX_8_100)
        snprintf(t.s, sizeof t.s, "8-100");
    else if (row->size == BENCH_MIX_REAL)
        snprintf(t.s, sizeof t.s, "real mix");
    else
        snprintf(t.s, sizeof t.s, "%d", row->size);
    return t;
}

const struct bench_row *bench_single(const struct bench_rows *all, const struct bench_row *row)
{
    for (const struct bench_row *r = all->rows; r < all->rows + all->rows_count; r++)
        if (r->threads == 1 && r->op == row->op && r->size == row->size && r->count == row->count)
            return r;
    return NULL;
}

static double ratio(const struct bench_row *row, size_t peer, size_t own)
{
    return row->results[peer].ns_median / row->results[own].ns_median;
}

static void print_head(FILE *out, const struct bench_rows *all, const struct bench_row *row)
{
    fprintf(out, "\n%s, %s bytes, %zu message%s, %zu key%s, ", bench_op_name(row->op), bench_size_text(row).s,
            row->count, row->count == 1 ? "" : "s", row->keys, row->keys == 1 ? "" : "s");
    if (row->threads == 1)
        fprintf(out, "1 thread");
    else
        fprintf(out, "%u threads, wall time", row->threads);
    if (row->limit_cycles > 0)
        fprintf(out, "; limit L1 %.0f cycles", row->limit_cycles);
    fprintf(out, "\n  %-10s %9s %9s %9s %9s %9s", "", "ns", "min", "max", "M msg/s", "MB/s");
    if (row->threads == 1)
        fprintf(out, " %8s %7s %6s", "cycles", "c/B", "of L1");
    else
        fprintf(out, " %-10s", "x 1 thread");
    for (size_t i = 0; i < all->peers_count; i++)
        if (!all->peers[i].own && row->results[i].ran)
            fprintf(out, " x %-10s", all->peers[i].name);
    fprintf(out, "\n");
}

static void print_cycles(FILE *out, const struct bench_row *row, const struct bench_result *r)
{
    if (r->cycles_median > 0)
        fprintf(out, " %8.0f %7.2f", r->cycles_median, r->cycles_median / row->mean_nbytes);
    else
        fprintf(out, " %8s %7s", "-", "-");
    if (row->limit_cycles > 0 && r->cycles_median > 0)
        fprintf(out, " %5.0f%%", 100 * row->limit_cycles / r->cycles_median);
    else
        fprintf(out, " %6s", "-");
}

void bench_print_row(FILE *out, const struct bench_rows *all)
{
    const struct bench_row *row = &all->rows[all->rows_count - 1], *single = bench_single(all, row);
    print_head(out, all, row);
    for (size_t i = 0; i < all->peers_count; i++) {
        const struct bench_result *r = &row->results[i];
        if (!r->ran)
            continue;
        fprintf(out, "  %-10s %9.1f %9.1f %9.1f %9.2f %9.0f", all->peers[i].name, r->ns_median, r->ns_min,
                r->ns_max, 1000 / r->ns_median, row->mean_nbytes * 1000 / r->ns_median);
        if (row->threads == 1)
            print_cycles(out, row, r);
        else
            fprintf(out, " %-10.2f", single ? single->results[i].wall_median / r->wall_median : 0);
        for (size_t j = 0; j < all->peers_count; j++)
            if (!all->peers[j].own && row->results[j].ran)
                fprintf(out, " %-12.2f", ratio(row, j, i));
        fprintf(out, "%s\n", r->verified ? "" : "  WRONG OUTPUT");
    }
    fflush(out);
}

/* Least squares of nanoseconds over bytes, sizes 16 to 1,024: what a message costs by itself, and each byte
 * of it. */
static void print_fit(FILE *out, const struct bench_rows *all)
{
    bool any = false;
    for (size_t i = 0; i < all->peers_count; i++) {
        double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (const struct bench_row *r = all->rows; r < all->rows + all->rows_count; r++) {
            if (r->op != BENCH_SEAL || r->threads != 1 || r->size < 16 || r->size > 1024 || r->keys != 1 ||
                r->count < 1000 || !r->results[i].ran)
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
        fprintf(out, "  %-10s %7.1f ns a message + %6.3f ns a byte\n", all->peers[i].name,
                (sy - slope * sx) / n, slope);
    }
}

static const struct bench_row *find(const struct bench_rows *all, int size, size_t count)
{
    for (const struct bench_row *r = all->rows; r < all->rows + all->rows_count; r++)
        if (r->op == BENCH_SEAL && r->threads == 1 && r->size == size && r->count == count)
            return r;
    return NULL;
}

/* Random lengths against one length of the same mean: what sorting and uneven groups cost. The mix needs more
 * SHA-512 blocks, since its longer half takes a second one; `by work` leaves that out. */
static void print_mix(FILE *out, const struct bench_rows *all)
{
    const struct bench_row *equal = find(all, 54, 4096), *mixed = find(all, BENCH_MIX_8_100, 4096);
    if (!equal || !mixed)
        return;
    fprintf(out, "\nseal, random lengths of 8-100 bytes against 54 bytes, batches of 4,096:\n");
    for (size_t i = 0; i < all->peers_count; i++) {
        if (!equal->results[i].ran || !mixed->results[i].ran)
            continue;
        double speed = equal->results[i].ns_median / mixed->results[i].ns_median;
        fprintf(out, "  %-10s %3.0f%% of the speed", all->peers[i].name, 100 * speed);
        if (equal->limit_cycles > 0 && all->peers[i].own)
            fprintf(out, ", %3.0f%% by work", 100 * speed * mixed->limit_cycles / equal->limit_cycles);
        fprintf(out, "\n");
    }
}

void bench_print_summary(FILE *out, const struct bench_rows *all)
{
    print_fit(out, all);
    print_mix(out, all);
}
