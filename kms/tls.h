/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers' tlsOptions of one provider. What would weaken TLS is refused, as drivers do (MongoDB
 * specifications, client-side-encryption, "KMS provider TLS options"). */
#ifndef KT_KMS_TLS_H
#define KT_KMS_TLS_H

#include <curl/curl.h>

#include "kms/secbuf.h"

struct kt_tls {
    struct kt_secbuf text; /* what the pointers below point into; locked, for the password's sake */
    const char *ca_file, *certificate_file, *password; /* NULL: not given */
};

/* options: BSON, data NULL: none. KT_OK; KT_E_CONFIG (names provider and option), KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_tls_init(struct kt_tls *tls, const char *provider, struct kt_span options,
                                       struct kt_secmem *secmem, struct kt_error *err);
void kt_tls_free(struct kt_tls *tls);

/* Sets a handle up with it; tls NULL: no options. bundle: the system's trust is there as one file. */
void kt_tls_apply(const struct kt_tls *tls, CURL *easy, bool bundle);

#endif
