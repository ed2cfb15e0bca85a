/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "bench/engine_bench.h"

int main(int argc, char **argv)
{
    return kt_bench_engine(argc, argv, getenv("KEYTURN_BACKEND"), getenv("KEYTURN_CPU_DISABLE"));
}
