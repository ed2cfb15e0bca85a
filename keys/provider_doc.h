/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in one provider's document of kmsProviders and of tlsOptions. Source: libmongocrypt 1.20,
 * mongocrypt-opts.c; mongo-c-driver 2.5, mongoc-crypt.c. */
#ifndef KT_KEYS_PROVIDER_DOC_H
#define KT_KEYS_PROVIDER_DOC_H

#include <bson/bson.h>

#include "common/span.h"
#include "csfle/key_doc.h"

/* Where a document stands, for messages: source ("kms.json"), option ("kmsProviders"), provider id. */
struct kt_provider_place {
    const char *source, *option, *id;
};

/* `fields` walks a valid BSON document that is not empty. KT_OK; KT_E_CONFIG names place and field, never a
 * value. */
KT_MUST_USE enum kt_status kt_credentials_check(const struct kt_provider_place *place, enum kt_kms kms,
                                                const bson_t *fields, struct kt_error *err);
KT_MUST_USE enum kt_status kt_tls_options_check(const struct kt_provider_place *place, const bson_t *fields,
                                                struct kt_error *err);

/* The bytes of a text or binary value, as they stand. */
struct kt_span kt_iter_bytes(const bson_iter_t *iter);

#endif
