/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_COMMON_KMS_TYPE_H
#define KT_COMMON_KMS_TYPE_H

/* The kinds of key management service that a masterKey document can name. */
enum kt_kms { KT_KMS_LOCAL, KT_KMS_AWS, KT_KMS_AZURE, KT_KMS_GCP, KT_KMS_KMIP };

#endif
