/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine_bench.h"

int main(int argc, char **argv)
{
    return kt_bench_engine(argc, argv);
}
