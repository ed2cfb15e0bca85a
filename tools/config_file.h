/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TOOLS_CONFIG_FILE_H
#define KT_TOOLS_CONFIG_FILE_H

#include "tools/settings.h"

/* Reads a --config file into settings, whatever the command line has not set. Options of other commands are
 * checked and passed over, so that one file serves all of them.
 * KT_OK, KT_E_CONFIG (names file and key), KT_E_USAGE (as kt_option_set), KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_config_read(const char *file, unsigned command_bit,
                                          struct kt_settings *settings, struct kt_error *err);

#endif
