/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_machine.h"

#include <string.h>

#include "bench/bench_clock.h"
#include "engine/cpu/features.h"
#include "engine/dispatch.h"

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

enum kt_status bench_machine_read(struct bench_machine *machine, const struct kt_engine_options *options,
                                  struct kt_error *err)
{
    struct kt_engine *engine;
    size_t nbytes;
    *machine = (struct bench_machine){.features = kt_cpu_capabilities()};
    enum kt_status status = kt_engine_open(&engine, options, err);
    if (status != KT_OK)
        return status;
    machine->chosen = kt_engine_backend(engine);
    kt_engine_close(engine);
    (void)kt_cpu_parse(options->cpu_disable, &machine->disabled, &nbytes);
    cpu_model(machine->model, sizeof machine->model);
    machine->ghz = bench_ghz();
    machine->rates = bench_rates();
    return KT_OK;
}

static const char *backend_text(const struct bench_machine *machine, const struct kt_backend *backend,
                                const struct kt_engine_options *options)
{
    const char *why_not = kt_dispatch_why_not(backend, machine->features & ~machine->disabled);
    if (why_not)
        return why_not;
    if (strcmp(backend->name, machine->chosen) == 0)
        return options->backend ? "usable, chosen" : "usable, chosen by auto";
    struct kt_engine *engine;
    struct kt_error err;
    struct kt_engine_options named = {.backend = backend->name, .cpu_disable = options->cpu_disable};
    if (kt_engine_open(&engine, &named, &err) != KT_OK)
        return "fails its known-answer test";
    kt_engine_close(engine);
    return "usable";
}

void bench_machine_print(FILE *out, const struct bench_machine *machine,
                         const struct kt_engine_options *options, const struct bench_peer *peers,
                         size_t count)
{
    struct kt_backends all = kt_dispatch_all();
    fprintf(out, "%s", machine->model);
    if (machine->ghz > 0)
        fprintf(out, ", %.2f GHz now", machine->ghz);
    else
        fprintf(out, "; core cycles cannot be told here");
    if (machine->rates.add > 0)
        fprintf(out, "; 512-bit operations a cycle: %.2f additions, %.2f rotations, %.2f AES rounds",
                machine->rates.add, machine->rates.rotate, machine->rates.aes);
    fprintf(out, "\n");
    for (size_t i = 0; i < KT_CPU_COUNT; i++)
        fprintf(out, "feature %-10s %s%s\n", kt_cpu_name(i), machine->features >> i & 1 ? "yes" : "no",
                machine->disabled >> i & 1 ? ", disabled" : "");
    for (size_t i = 0; i < all.count; i++)
        fprintf(out, "backend %-10s %s\n", all.list[i]->name, backend_text(machine, all.list[i], options));
    for (size_t i = 0; i < count; i++)
        if (!peers[i].own)
            fprintf(out, "peer    %-10s %s\n", peers[i].name, peers[i].version());
}
