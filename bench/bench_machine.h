/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured on, and with what. */
#ifndef KT_BENCH_MACHINE_H
#define KT_BENCH_MACHINE_H

#include <stdio.h>

#include "bench/bench_peer.h"
#include "bench/bench_rates.h"

struct bench_machine {
    char model[128];
    double ghz; /* 0: cycles cannot be told */
    struct bench_rates rates;
    uint32_t features, disabled; /* KT_CPU_ bits: what the CPU has, and what counts as absent */
    const char *chosen;          /* the backend that an engine opened with these options uses */
};

/* Opens an engine with these options, as every other command does. The errors of kt_engine_open. */
KT_MUST_USE enum kt_status bench_machine_read(struct bench_machine *machine,
                                              const struct kt_engine_options *options, struct kt_error *err);

/* CPU model, rates, features, backends and why some are not used, peers' versions. */
void bench_machine_print(FILE *out, const struct bench_machine *machine,
                         const struct kt_engine_options *options, const struct bench_peer *peers,
                         size_t count);

#endif
