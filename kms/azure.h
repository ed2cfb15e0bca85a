/* SPDX-License-Identifier: Apache-2.0 */
/* Azure Key Vault messages: wrapkey, unwrapkey, and reading a key and its versions. Wrapping needs only the
 * public key, so it is done here, with the version pinned: a wrap under "the current version" stops opening
 * when the next version is made. Source: Key Vault REST 7.1; RFC 8017 section 7.1 (RSA-OAEP), RFC 7518
 * section 4.3; libmongocrypt kms_azure_request.c. */
#ifndef KT_KMS_AZURE_H
#define KT_KMS_AZURE_H

#include <openssl/evp.h>

#include "kms/cmk.h"
#include "kms/exchange.h"
#include "kms/token.h"

/* UNWRAP and WRAP at the service. version: of the CMK, or one to try, or NULL (the current one). */
enum kt_verdict kt_azure_build(struct kt_kms_call *call, const struct kt_cmk *cmk, const char *version,
                               const struct kt_token *token, struct kt_exchange *x);
enum kt_verdict kt_azure_parse(struct kt_kms_call *call, const struct kt_cmk *cmk, const char *version,
                               const struct kt_exchange *x);

/* GET of a key: RESOLVE, and the public key of a pinned version. */
enum kt_verdict kt_azure_build_key(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                   const struct kt_token *token, struct kt_exchange *x);
/* RESOLVE: puts the masterKey document with the current version into call->out. */
enum kt_verdict kt_azure_parse_resolve(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                       const struct kt_exchange *x);
/* The public key of a pinned version; *key is the caller's then. */
enum kt_verdict kt_azure_parse_key(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                   const struct kt_exchange *x, EVP_PKEY **key);

/* GET of the list of versions, page by page: link is NULL or what the last page named. parse appends
 * NUL-terminated versions that are enabled, and puts the next page's link (or nothing) into link. */
enum kt_verdict kt_azure_build_versions(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                        const struct kt_token *token, const struct kt_secbuf *link,
                                        struct kt_exchange *x);
enum kt_verdict kt_azure_parse_versions(struct kt_kms_call *call, const struct kt_cmk *cmk,
                                        const struct kt_exchange *x, struct kt_secbuf *versions,
                                        struct kt_secbuf *link);

/* RSA-OAEP-256 under a public key into call->out. */
enum kt_verdict kt_azure_wrap(struct kt_kms_call *call, EVP_PKEY *key);

/* The OAuth scope for a vault: https://<domain>/.default, domain = host without its first label. */
bool kt_azure_scope(const struct kt_cmk *cmk, char *out, size_t nbytes);

#endif
