/* SPDX-License-Identifier: Apache-2.0 */
/* A program outside the tree, built against the installed package. */
#include <keyturn/status.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct kt_error error;
    enum kt_status status = kt_fail(&error, KT_E_IO, "disk %d is full", 7);
    if (status != KT_E_IO || error.status != KT_E_IO || strcmp(error.message, "disk 7 is full") != 0)
        return 1;
    return puts(kt_status_name(status)) < 0;
}
