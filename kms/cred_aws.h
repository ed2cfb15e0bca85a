/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that the AWS sources share. */
#ifndef KT_KMS_CRED_AWS_H
#define KT_KMS_CRED_AWS_H

#include "kms/credentials.h"

/* AssumeRoleWithWebIdentity and AssumeRole at STS. signer NULL: unsigned. */
enum kt_verdict kt_sts_web_identity(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                    const char *role_arn, const char *session, const char *token_file);
enum kt_verdict kt_sts_assume(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                              const char *role_arn, const char *session, const char *external_id,
                              const struct kt_token *signer);
enum kt_verdict kt_sts_parse(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                             struct kt_token *token);

/* The profile of AWS_PROFILE in the shared files. */
bool kt_profile_applies(struct kt_cred *cred);
enum kt_verdict kt_profile_build(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token);

/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"} of container and instance services. */
enum kt_verdict kt_cred_aws_json(struct kt_cred *cred, struct kt_kms_call *call, struct kt_exchange *x,
                                 struct kt_token *token);

#endif
