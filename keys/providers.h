/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers' kmsProviders and tlsOptions documents: which KMS accounts there are, by provider id ("aws",
 * "local:old"). Unknown fields are errors, as in libmongocrypt (mongocrypt-opts.c). */
#ifndef KT_KEYS_PROVIDERS_H
#define KT_KEYS_PROVIDERS_H

#include "common/secmem.h"
#include "common/span.h"
#include "csfle/key_doc.h"
#include "keyturn/engine.h"

struct kt_provider {
    const char *id; /* "local:old" */
    enum kt_kms kms;
    struct kt_span credentials; /* BSON in locked memory; {} means: from the environment; data NULL: local */
    struct kt_span tls_options; /* BSON in locked memory (it may hold a password); data NULL: none */
    const struct kt_key *local; /* prepared master key in locked memory; NULL unless kms is KT_KMS_LOCAL */
    struct kt_secmem *secmem;   /* where strategies find room for DEKs on their way */
};

struct kt_providers;

/* kms_providers: {"aws": {...}, ...}, at least one; tls_options: {"aws": {...}, ...} or data NULL. source
 * names the document in messages ("kms.json"). Secrets are copied to locked memory; the caller wipes its own
 * copy. engine prepares local keys and is not kept. KT_OK; KT_E_CONFIG (names source, provider and field,
 * never a value; what libmongocrypt refuses is refused, and also empty strings, fields that stand there
 * twice, and an empty document for kmip and local); KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_providers_new(struct kt_providers **providers, struct kt_span kms_providers,
                                            struct kt_span tls_options, const char *source,
                                            struct kt_secmem *secmem, struct kt_engine *engine,
                                            struct kt_error *err);
void kt_providers_free(struct kt_providers *providers);

/* NULL: not configured. Immutable: any thread. */
const struct kt_provider *kt_providers_find(const struct kt_providers *providers, struct kt_span id);
size_t kt_providers_count(const struct kt_providers *providers);
const struct kt_provider *kt_providers_at(const struct kt_providers *providers, size_t i);

/* The name under which messages speak of the document. */
const char *kt_providers_source(const struct kt_providers *providers);

#endif
