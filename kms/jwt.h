/* SPDX-License-Identifier: Apache-2.0 */
/* Signed assertions of service accounts. RFC 7515 (compact form), RFC 7518 section 3.3 (RS256), RFC 7523. */
#ifndef KT_KMS_JWT_H
#define KT_KMS_JWT_H

#include <openssl/evp.h>

#include "kms/secbuf.h"

struct kt_jwt_claims {
    const char *issuer, *audience, *scope;
    const char *key_id; /* NULL: none */
    int64_t issued_at;  /* UTC seconds */
    int64_t lifetime_s;
};

/* Appends header.claims.signature. False: key is not RSA, or locked memory has run out. */
bool kt_jwt_sign(struct kt_secbuf *out, const struct kt_jwt_claims *claims, EVP_PKEY *key);

/* A private key: PKCS#8 DER, base64 of that, or PEM. NULL: neither. Free with EVP_PKEY_free. */
EVP_PKEY *kt_jwt_key(struct kt_span text, struct kt_secmem *secmem);

#endif
