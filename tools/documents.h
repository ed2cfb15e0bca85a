/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents from files, the environment and the command line, as BSON. Their text and their BSON may
 * hold secrets: both pass only through memory that is wiped when it is given back (tools/wiping.h). */
#ifndef KT_TOOLS_DOCUMENTS_H
#define KT_TOOLS_DOCUMENTS_H

#include "tools/settings.h"

#define KT_DOCUMENT_MAX_NBYTES (16u << 20)

/* *bson: a new document, or NULL when the source is not given. KT_OK, KT_E_CONFIG (no such file, no such
 * variable, no JSON object; names the source and never its content), KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_document_load(const struct kt_document_source *source, bson_t **bson,
                                            struct kt_error *err);

/* Takes {"kmsProviders": ..., "tlsOptions": ...} apart; *tls stays as it is when there is none.
 * KT_OK, KT_E_CONFIG, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_document_split_providers(const bson_t *both, const char *name, bson_t **kms,
                                                       bson_t **tls, struct kt_error *err);

/* True when others than the owner may read the file. */
bool kt_document_exposed(const char *file, unsigned *mode);

#endif
