/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of key vaults on screens and in reports. */
#ifndef KT_TOOLS_STATUS_SCREEN_H
#define KT_TOOLS_STATUS_SCREEN_H

#include <stdio.h>

#include "keyturn/audit.h"
#include "tools/json_out.h"

void kt_status_print(FILE *out, const struct kt_audit_options *options, const struct kt_audit_result *result);

/* The fields of a report, inside its object. */
void kt_status_report(struct kt_json *json, const struct kt_audit_result *result);

#endif
