/* SPDX-License-Identifier: Apache-2.0 */
/* AWS KMS messages: Encrypt, Decrypt, ReEncrypt. Source: AWS KMS API reference 2014-11-01; libmongocrypt
 * kms_encrypt_request.c, kms_decrypt_request.c. */
#ifndef KT_KMS_AWS_H
#define KT_KMS_AWS_H

#include "kms/cmk.h"
#include "kms/exchange.h"
#include "kms/token.h"

/* KT_V_SEND, KT_V_DONE (RESOLVE: nothing to ask), KT_V_FINAL (locked memory ran out, no host). */
enum kt_verdict kt_aws_build(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_token *token,
                             struct kt_exchange *x);

/* Judges a reply; on KT_V_DONE the result stands in call->out. */
enum kt_verdict kt_aws_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const struct kt_exchange *x);

/* Fills sigv4 and the security token's header. */
void kt_aws_sign(struct kt_exchange *x, const struct kt_token *token, const char *region,
                 const char *service);

/* Error names of all AWS services that keyturn talks to, without namespace. False: unknown to us. */
bool kt_aws_classify(const char *error, enum kt_verdict *verdict, enum kt_kms_reason *reason);

#endif
