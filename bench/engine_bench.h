/* SPDX-License-Identifier: Apache-2.0 */
/* `keyturn bench engine`: what the engine does on this machine, beside its peers, in one process and one run.
 */
#ifndef KT_BENCH_ENGINE_BENCH_H
#define KT_BENCH_ENGINE_BENCH_H

/* argv[0] is ignored. Prints to stdout (and JSON to a file where asked); complaints go to stderr. Returns an
 * exit status: 0, 1 (an output was wrong), 2 (usage), 4 (a file cannot be written). */
int kt_bench_engine(int argc, char **argv);

#endif
