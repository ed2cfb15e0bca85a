/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cpu/features.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(features, lists_parse)
{
    uint32_t bits;
    size_t n;
    cr_assert_null(kt_cpu_parse(NULL, &bits, &n));
    cr_assert_eq(bits, 0);
    cr_assert_null(kt_cpu_parse(" , ", &bits, &n));
    cr_assert_eq(bits, 0);
    cr_assert_null(kt_cpu_parse("vaes, avx512f,", &bits, &n));
    cr_assert_eq(bits, KT_CPU_VAES | KT_CPU_AVX512F);
    const char *bad = kt_cpu_parse("vaes,avx512,avx2", &bits, &n);
    cr_assert(bad && n == 6 && strncmp(bad, "avx512", 6) == 0);
    cr_assert_not_null(kt_cpu_parse("VAES", &bits, &n));
}

/* /proc/cpuinfo is the kernel's own reading of CPUID and XCR0. */
Test(features, agree_with_the_kernel)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f)
        cr_skip_test("machine: no /proc/cpuinfo");
    char line[8192] = "";
    while (fgets(line, sizeof line - 2, f) && strncmp(line, "flags", 5) != 0)
        ;
    fclose(f);
    if (strncmp(line, "flags", 5) != 0)
        cr_skip_test("machine: no flags in /proc/cpuinfo");
    line[strcspn(line, "\n")] = ' '; /* so that the last flag, too, ends with a space */
    for (size_t i = 0; i < KT_CPU_COUNT; i++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", kt_cpu_name(i));
        cr_assert_eq(kt_cpu_capabilities() >> i & 1, strstr(line, word) != NULL, "%s", kt_cpu_name(i));
    }
}
