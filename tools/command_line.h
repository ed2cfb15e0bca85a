/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TOOLS_COMMAND_LINE_H
#define KT_TOOLS_COMMAND_LINE_H

#include "tools/commands.h"
#include "tools/settings.h"

/* Reads a command's options ("--name value", "--name=value", no abbreviations) and --config, and checks that
 * nothing is missing. argv[0] is the command's name. *help: --help was there; then nothing else is checked.
 * KT_OK, KT_E_USAGE, KT_E_CONFIG, KT_E_IO, KT_E_NOMEM; err names the option and the way out. */
KT_MUST_USE enum kt_status kt_command_line_read(const struct kt_cli_command *command, int argc, char **argv,
                                                struct kt_settings *settings, bool *help,
                                                struct kt_error *err);

#endif
