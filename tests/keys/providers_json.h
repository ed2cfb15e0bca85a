/* SPDX-License-Identifier: Apache-2.0 */
/* kmsProviders and tlsOptions written as JSON, for Criterion tests. tls may be NULL. */
#ifndef KT_TESTS_KEYS_PROVIDERS_JSON_H
#define KT_TESTS_KEYS_PROVIDERS_JSON_H

#include "tests/keys/fixture.h"

#define KEY64_REST                                                                                           \
    "REVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3"                                         \
    "h5ejAxMjM0NTY3ODkrL0FCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaYWJjZGVm"
#define KEY64 "QUJD" KEY64_REST
/* What it decodes to. */
#define KEY96                                                                                                \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"

/* kt_providers_new of what stands there, "kms.json" by name. */
enum kt_status providers_parse(struct fixture *f, const char *kms, const char *tls,
                               struct kt_providers **providers, struct kt_error *err);

/* The same, which must work. */
struct kt_providers *providers_parsed(struct fixture *f, const char *kms, const char *tls);

/* The same, which must be refused with a message that names the document and holds the text `says`, but not
 * the secret "s3cret". */
void providers_refused(struct fixture *f, const char *kms, const char *tls, const char *says);

#endif
