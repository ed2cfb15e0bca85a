/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TESTS_COMMON_VMFLAGS_H
#define KT_TESTS_COMMON_VMFLAGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* True when the mapping around p carries a flag of /proc/self/smaps' VmFlags ("dd" not dumped, "lo" locked,
 * "wf" wiped on fork). Source: the kernel's Documentation/filesystems/proc.rst. */
static inline bool vm_has_flag(const void *p, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f)
        return false;
    char line[4096], wanted[8];
    snprintf(wanted, sizeof wanted, " %s ", flag);
    bool inside = false, found = false;
    while (fgets(line, sizeof line, f)) {
        unsigned long long begin, end;
        char rights[8];
        if (sscanf(line, "%llx-%llx %4s ", &begin, &end, rights) == 3)
            inside = (uintptr_t)p >= begin && (uintptr_t)p < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, wanted) != NULL;
    }
    fclose(f);
    return found;
}

#endif
