/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_plot.h"

#include <math.h>

#define WIDTH 560
#define HEIGHT 340
#define LEFT 62
#define RIGHT 26
#define TOP 34
#define BOTTOM 44

/* Ends of both axes; logarithms where an axis is logarithmic. */
struct frame {
    double x_min, x_max, y_min, y_max;
    bool log_y;
};

static double x_at(const struct frame *f, double bytes)
{
    return LEFT + (log2(bytes) - f->x_min) / (f->x_max - f->x_min) * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct frame *f, double value)
{
    double v = f->log_y ? log10(value) : value;
    return HEIGHT - BOTTOM - (v - f->y_min) / (f->y_max - f->y_min) * (HEIGHT - TOP - BOTTOM);
}

/* The step between ticks of an axis from 0 to `to`: 1, 2 or 5 times a power of ten, at most 8 of them. */
static double nice_step(double to)
{
    double step = pow(10, floor(log10(to / 8)));
    static const double times[] = {1, 2, 5, 10};
    for (size_t i = 0; i < 4; i++)
        if (to / (step * times[i]) <= 8)
            return step * times[i];
    return step * 10;
}

static bool find_frame(const struct bench_plot *plot, struct frame *f)
{
    double x_min = INFINITY, x_max = 0, y_min = INFINITY, y_max = 0;
    for (size_t i = 0; i < plot->count; i++)
        for (size_t j = 0; j < plot->series[i].count; j++) {
            double x = plot->series[i].x[j], y = plot->series[i].y[j];
            x_min = fmin(x_min, x), x_max = fmax(x_max, x);
            y_min = fmin(y_min, y), y_max = fmax(y_max, y);
        }
    if (x_max <= 0 || y_max <= 0)
        return false;
    *f = (struct frame){log2(x_min) - 0.2, log2(x_max) + 0.2, 0, 0, plot->nanoseconds};
    if (plot->nanoseconds) {
        f->y_min = log10(y_min) - 0.1;
        f->y_max = log10(y_max) + 0.1;
    } else {
        double step = nice_step(y_max);
        f->y_max = ceil(y_max / step) * step;
    }
    return true;
}

static void time_text(char text[32], double ns)
{
    if (ns < 1000)
        snprintf(text, 32, "%.0f ns", ns);
    else if (ns < 1e6)
        snprintf(text, 32, "%.0f \xc2\xb5s", ns / 1000);
    else
        snprintf(text, 32, "%.0f ms", ns / 1e6);
}

static void y_tick(FILE *out, const struct frame *f, double value, const char *text)
{
    double y = y_at(f, value);
    fprintf(out,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, text);
}

static void y_axis(FILE *out, const struct frame *f)
{
    char text[32];
    if (!f->log_y) {
        double step = nice_step(f->y_max);
        for (int i = 0; i * step <= f->y_max * 1.001; i++) {
            snprintf(text, sizeof text, "%g\xc3\x97", i * step);
            y_tick(out, f, i * step, text);
        }
        return;
    }
    const bool few = f->y_max - f->y_min < 2;
    for (int decade = (int)floor(f->y_min); decade <= f->y_max; decade++)
        for (int digit = 1; digit < 10; digit += digit == 1 ? 1 : digit == 2 ? 3 : 5) {
            double value = digit * pow(10, decade);
            if (log10(value) < f->y_min || log10(value) > f->y_max || (digit > 1 && !few))
                continue;
            time_text(text, value);
            y_tick(out, f, value, text);
        }
}

static void x_axis(FILE *out, const struct frame *f)
{
    int step = f->x_max - f->x_min > 5 ? 2 : 1;
    for (int power = 0; power <= f->x_max; power += step) {
        if (power < f->x_min)
            continue;
        double x = x_at(f, ldexp(1, power));
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d%s</text>\n", x,
                HEIGHT - BOTTOM + 18, power < 10 ? 1 << power : 1 << (power - 10), power < 10 ? "" : " KiB");
    }
    fprintf(out,
            "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
            "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">bytes a message</text>\n",
            LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
}

static void draw(FILE *out, const struct frame *f, const struct bench_series *s)
{
    fprintf(out, "<polyline class=\"line s%zu\" points=\"", s->color);
    for (size_t j = 0; j < s->count; j++)
        fprintf(out, "%s%.1f,%.1f", j ? " " : "", x_at(f, s->x[j]), y_at(f, s->y[j]));
    fprintf(out, "\"/>\n");
    for (size_t j = 0; j < s->count; j++)
        fprintf(out,
                "<circle class=\"dot s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%s, %.0f bytes: %.*f%s"
                "</title></circle>\n",
                s->color, x_at(f, s->x[j]), y_at(f, s->y[j]), s->name, s->x[j], f->log_y ? 0 : 2, s->y[j],
                f->log_y ? " ns" : "\xc3\x97");
}

void bench_plot_write(FILE *out, const struct bench_plot *plot)
{
    struct frame f;
    if (!find_frame(plot, &f))
        return;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"%s\">\n<text class=\"title\" x=\"%d\" y=\"18\">%s</text>\n",
            WIDTH, HEIGHT, plot->title, LEFT, plot->title);
    y_axis(out, &f);
    x_axis(out, &f);
    if (!plot->nanoseconds)
        fprintf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT,
                WIDTH - RIGHT, y_at(&f, 1), y_at(&f, 1));
    for (size_t i = 0; i < plot->count; i++)
        if (plot->series[i].count > 0)
            draw(out, &f, &plot->series[i]);
    fprintf(out, "</svg>\n");
}
