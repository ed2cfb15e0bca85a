/* SPDX-License-Identifier: Apache-2.0 */
/* A customer master key as a masterKey document names it. Strings point into the document; those that do not
 * apply are NULL. */
#ifndef KT_KMS_CMK_H
#define KT_KMS_CMK_H

#include <stdbool.h>

#include "common/kms_type.h"
#include "common/span.h"
#include "keyturn/status.h"

struct kt_cmk {
    enum kt_kms kms;
    const char *provider;
    const char *endpoint;                            /* aws, gcp, kmip: host[:port] */
    const char *region, *key;                        /* aws */
    const char *vault, *name, *version;              /* azure; gcp: version */
    const char *project, *location, *ring, *gcp_key; /* gcp */
    const char *key_id;                              /* kmip */
    bool delegated;                                  /* kmip */
};

/* Checks what goes into URLs and host names, so that no document can redirect a request within them.
 * KT_OK; KT_E_CONFIG (the message names provider and field). */
KT_MUST_USE enum kt_status kt_cmk_parse(enum kt_kms kms, struct kt_span master_key, struct kt_cmk *cmk,
                                        struct kt_error *err);

/* "aws us-east-1 arn:...", for messages; NUL-terminated, cut to fit. */
void kt_cmk_describe(const struct kt_cmk *cmk, char *out, size_t nbytes);

/* host[:port] that serves this CMK, with the default for the provider; NUL-terminated. False: too long. */
bool kt_cmk_host(const struct kt_cmk *cmk, char *out, size_t nbytes);

#endif
