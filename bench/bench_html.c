/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bench/bench_plot.h"
#include "bench/bench_report.h"

#define FEW 64 /* messages: rows with fewer show what small batches cost, not what sizes do */

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;"
    "color:#1f2328;background:#fff}\n"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}p{color:#57606a}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1rem}\n"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}\n"
    ".title{fill:#1f2328;font-weight:600;font-size:13px}.tick{fill:#57606a}\n"
    ".grid{stroke:#d8dee4}.axis{stroke:#8c959f}.line{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".dot{stroke:#fff;stroke-width:1.5}\n"
    ".key span{display:inline-block;margin-right:1.2rem}"
    ".key i{display:inline-block;width:1.4rem;height:.25rem;margin-right:.4rem;vertical-align:middle}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}\n"
    "th,td{padding:.2rem .6rem;text-align:right;white-space:nowrap}"
    "th{border-bottom:1px solid #8c959f}th:first-child,td:first-child{text-align:left}\n"
    "tr.row td{border-top:1px solid #d8dee4;padding-top:.6rem;text-align:left;font-weight:600}\n"
    ".wrong{color:#b3261e;font-weight:600}\n";

static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73", "#b0548a", "#8a6d00", "#3a9bdc"};
#define COLORS (sizeof colors / sizeof colors[0])

static void text(FILE *out, const char *s)
{
    for (; *s; s++)
        if (*s == '<')
            fputs("&lt;", out);
        else if (*s == '&')
            fputs("&amp;", out);
        else
            fputc(*s, out);
}

/* Points of implementation i; `against`, if not NULL, gives ratios instead of times. */
static void collect(struct bench_series *s, const struct bench_rows *all, enum bench_op op, size_t i,
                    const size_t *against)
{
    *s = (struct bench_series){.name = all->peers[i].name, .color = i % COLORS};
    for (const struct bench_row *r = all->rows; r < all->rows + all->rows_count; r++) {
        if (r->op != op || r->threads != 1 || r->size <= 0 || r->count < FEW || !r->results[i].ran ||
            s->count == BENCH_POINTS_MAX || (against && !r->results[*against].ran))
            continue;
        size_t at = s->count++;
        double y =
            against ? r->results[*against].ns_median / r->results[i].ns_median : r->results[i].ns_median;
        for (; at > 0 && s->x[at - 1] > r->size; at--)
            s->x[at] = s->x[at - 1], s->y[at] = s->y[at - 1];
        s->x[at] = r->size, s->y[at] = y;
    }
}

static void plots_of(FILE *out, const struct bench_rows *all, enum bench_op op, size_t openssl)
{
    struct bench_series times[BENCH_PEERS_MAX], ratios[BENCH_PEERS_MAX];
    size_t ratios_count = 0, points = 0;
    for (size_t i = 0; i < all->peers_count; i++) {
        collect(&times[i], all, op, i, NULL);
        points = times[i].count > points ? times[i].count : points;
        if (i != openssl)
            collect(&ratios[ratios_count++], all, op, i, &openssl);
    }
    if (points < 3)
        return;
    fprintf(out, "<h2>%s</h2>\n<div class=\"key\">", bench_op_name(op));
    for (size_t i = 0; i < all->peers_count; i++)
        if (times[i].count > 0)
            fprintf(out, "<span><i style=\"background:%s\"></i>%s</span>", colors[i % COLORS],
                    all->peers[i].name);
    fprintf(out, "</div>\n<div class=\"plots\">\n");
    bench_plot_write(out,
                     &(struct bench_plot){"time per message, one thread", true, times, all->peers_count});
    bench_plot_write(out, &(struct bench_plot){"times as fast as OpenSSL, one message at a time", false,
                                               ratios, ratios_count});
    fprintf(out, "</div>\n");
}

static void write_result(FILE *out, const struct bench_rows *all, const struct bench_row *row, size_t i,
                         size_t openssl)
{
    const struct bench_result *r = &row->results[i];
    fprintf(out, "<tr><td>%s</td><td>%.1f</td><td>%.1f</td><td>%.1f</td><td>%.2f</td><td>%.0f</td>",
            all->peers[i].name, r->ns_median, r->ns_min, r->ns_max, 1000 / r->ns_median,
            row->mean_nbytes * 1000 / r->ns_median);
    if (r->cycles_median > 0)
        fprintf(out, "<td>%.0f</td><td>%.2f</td>", r->cycles_median, r->cycles_median / row->mean_nbytes);
    else
        fprintf(out, "<td></td><td></td>");
    if (r->cycles_median > 0 && row->limit_cycles > 0)
        fprintf(out, "<td>%.0f%%</td>", 100 * row->limit_cycles / r->cycles_median);
    else
        fprintf(out, "<td></td>");
    if (row->results[openssl].ran)
        fprintf(out, "<td>%.2f</td>", row->results[openssl].ns_median / r->ns_median);
    else
        fprintf(out, "<td></td>");
    fprintf(out, "<td>%s</td></tr>\n", r->verified ? "" : "<span class=\"wrong\">wrong output</span>");
}

static void write_table(FILE *out, const struct bench_rows *all, size_t openssl)
{
    fprintf(out, "<h2>All figures</h2>\n<div class=\"wide\"><table>\n<tr><th></th><th>ns a message</th>"
                 "<th>min</th><th>max</th><th>M messages/s</th><th>MB/s</th><th>cycles</th><th>c/B</th>"
                 "<th>of L1</th><th>\xc3\x97 openssl</th><th></th></tr>\n");
    for (const struct bench_row *row = all->rows; row < all->rows + all->rows_count; row++) {
        fprintf(out,
                "<tr class=\"row\"><td colspan=\"11\">%s, %s bytes, %zu message%s, %zu key%s, %u thread%s",
                bench_op_name(row->op), bench_size_text(row).s, row->count, row->count == 1 ? "" : "s",
                row->keys, row->keys == 1 ? "" : "s", row->threads, row->threads == 1 ? "" : "s, wall time");
        if (row->limit_cycles > 0)
            fprintf(out, "; limit L1 %.0f cycles", row->limit_cycles);
        fprintf(out, "</td></tr>\n");
        for (size_t i = 0; i < all->peers_count; i++)
            if (row->results[i].ran)
                write_result(out, all, row, i, openssl);
    }
    fprintf(out, "</table></div>\n");
}

static void write_head(FILE *out, const struct bench_rows *all)
{
    const struct bench_machine *m = all->machine;
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>keyturn bench engine</title>\n"
            "<style>\n%s",
            style);
    for (size_t i = 0; i < COLORS; i++)
        fprintf(out, ".line.s%zu{stroke:%s}.dot.s%zu{fill:%s}\n", i, colors[i], i, colors[i]);
    fprintf(out, "</style></head>\n<body>\n<h1>keyturn bench engine</h1>\n<p>");
    text(out, m->model);
    if (m->ghz > 0)
        fprintf(out, ", %.2f GHz", m->ghz);
    if (m->rates.add > 0)
        fprintf(out, "; 512-bit operations a cycle: %.2f additions, %.2f rotations, %.2f AES rounds",
                m->rates.add, m->rates.rotate, m->rates.aes);
    fprintf(out, ". Chosen: %s", m->chosen);
    for (size_t i = 0; i < all->peers_count; i++)
        if (!all->peers[i].own) {
            fprintf(out, "; ");
            text(out, all->peers[i].version());
        }
    fprintf(out, ". Every output was verified, or is marked.</p>\n");
}

bool bench_write_html(FILE *out, const struct bench_rows *all)
{
    size_t openssl = 0;
    while (openssl + 1 < all->peers_count && strcmp(all->peers[openssl].name, "openssl") != 0)
        openssl++;
    write_head(out, all);
    for (int op = 0; op < BENCH_OPS; op++)
        plots_of(out, all, op, openssl);
    write_table(out, all, openssl);
    fprintf(out, "</body></html>\n");
    return fflush(out) == 0 && !ferror(out);
}
