/* SPDX-License-Identifier: Apache-2.0 */
/* What options name for writing must be nothing that other options name. */
#ifndef KT_TOOLS_OUTPUTS_H
#define KT_TOOLS_OUTPUTS_H

#include "tools/settings.h"

/* KT_E_USAGE when the report or the list of failures would be written over another file of the job. */
KT_MUST_USE enum kt_status kt_outputs_apart(const struct kt_settings *settings, struct kt_error *err);

#endif
