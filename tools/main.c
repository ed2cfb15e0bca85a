/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "tools/commands.h"
#include "tools/wiping.h"

int main(int argc, char **argv)
{
    kt_wiping_install();
    /* a closed pipe is an error of write(), told like any other */
    signal(SIGPIPE, SIG_IGN);
    return kt_commands_main(argc, argv);
}
