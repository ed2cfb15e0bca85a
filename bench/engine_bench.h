/* SPDX-License-Identifier: Apache-2.0 */
/* `keyturn bench engine`: what the engine does on this machine, beside its peers, in one process and one run.
 */
#ifndef KT_BENCH_ENGINE_BENCH_H
#define KT_BENCH_ENGINE_BENCH_H

/* argv[0] is ignored. backend, cpu_disable: as in struct kt_engine_options, from the environment; NULL: not
 * set. Prints to stdout (JSON and HTML to files where asked); complaints go to stderr. Returns an exit
 * status: 0, 1 (an output was wrong), 2 (usage), 4 (memory ran out, a file cannot be written, no backend
 * passes its known-answer test). */
int kt_bench_engine(int argc, char **argv, const char *backend, const char *cpu_disable);

#endif
