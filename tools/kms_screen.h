/* SPDX-License-Identifier: Apache-2.0 */
/* What the screens say of key management services. */
#ifndef KT_TOOLS_KMS_SCREEN_H
#define KT_TOOLS_KMS_SCREEN_H

#include <stdio.h>

#include "keyturn/job.h"

/* Requests by CMK and operation, how long they take and what they cost. */
void kt_kms_print_plan(FILE *out, const struct kt_job_options *options, const struct kt_kms_plan *plan);

/* "KMS     49,208 calls, p50 24 ms, p99 61 ms, 14 throttled and repeated" */
void kt_kms_print_counts(FILE *out, const struct kt_kms_counts *kms);

/* The CMKs that no DEK of the rewritten key vault is under any more; nothing when there are none, or when
 * keys were left out. */
void kt_kms_print_unneeded(FILE *out, const struct kt_key_counts *keys);

#endif
