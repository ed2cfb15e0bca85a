/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TOOLS_HELP_H
#define KT_TOOLS_HELP_H

#include <stdio.h>

#include "tools/commands.h"

void kt_help_program(FILE *out);
void kt_help_command(FILE *out, const struct kt_cli_command *command);

#endif
