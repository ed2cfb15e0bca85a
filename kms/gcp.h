/* SPDX-License-Identifier: Apache-2.0 */
/* Google Cloud KMS messages: encrypt and decrypt. Source: Cloud KMS REST v1; libmongocrypt kms_gcp_request.c.
 */
#ifndef KT_KMS_GCP_H
#define KT_KMS_GCP_H

#include "kms/cmk.h"
#include "kms/exchange.h"
#include "kms/token.h"

enum kt_verdict kt_gcp_build(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_token *token,
                             struct kt_exchange *x);
enum kt_verdict kt_gcp_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_exchange *x);

/* The OAuth scope for a CMK: https://www.<domain>/auth/cloudkms. False: too long. */
bool kt_gcp_scope(const struct kt_cmk *cmk, char *out, size_t nbytes);

#endif
