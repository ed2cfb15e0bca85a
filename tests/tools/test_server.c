/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/server.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct kt_error err;
static int part, parts;

static enum kt_status partition(const char *text)
{
    part = parts = -1;
    return kt_partition_read(text, &part, &parts, &err);
}

Test(server, partitions_by_number)
{
    cr_assert_eq(partition("0/1"), KT_OK);
    cr_assert_eq(partition("3/8"), KT_OK);
    cr_assert(part == 3 && parts == 8);
    static const char *const wrong[] = {"8/8",  "1/0", "-1/4", "1",     "a/4",
                                        "1/4x", "/4",  "1/",   "auto/", "1/99999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(partition(wrong[i]), KT_E_USAGE, "%s", wrong[i]);
}

Test(server, partitions_from_the_environment)
{
    unsetenv("JOB_COMPLETION_INDEX");
    cr_assert_eq(partition("auto/4"), KT_E_USAGE);
    cr_assert_not_null(strstr(err.message, "JOB_COMPLETION_INDEX"));
    setenv("JOB_COMPLETION_INDEX", "3", 1);
    cr_assert_eq(partition("auto/4"), KT_OK);
    cr_assert(part == 3 && parts == 4);
    cr_assert_eq(partition("auto/3"), KT_E_USAGE);
    setenv("SLURM_ARRAY_TASK_ID", "15", 1);
    setenv("SLURM_ARRAY_TASK_MIN", "5", 1);
    setenv("SLURM_ARRAY_TASK_STEP", "5", 1);
    setenv("SLURM_ARRAY_TASK_COUNT", "4", 1);
    cr_assert_eq(partition("auto"), KT_OK);
    cr_assert(part == 2 && parts == 4);
    setenv("SLURM_ARRAY_TASK_ID", "16", 1);
    cr_assert_eq(partition("auto"), KT_E_USAGE);
    setenv("SLURM_ARRAY_TASK_ID", "nonsense", 1);
    cr_assert_eq(partition("auto"), KT_E_USAGE);
}

Test(server, knows_servers_from_files)
{
    cr_assert(kt_store_is_server("mongodb://a"));
    cr_assert(kt_store_is_server("mongodb+srv://a"));
    cr_assert_not(kt_store_is_server("mongodb"));
    cr_assert_not(kt_store_is_server(NULL));
}
