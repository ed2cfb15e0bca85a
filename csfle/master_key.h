/* SPDX-License-Identifier: Apache-2.0 */
/* masterKey documents: which fields each provider has. Source: libmongocrypt mongocrypt-kek.c. */
#ifndef KT_CSFLE_MASTER_KEY_H
#define KT_CSFLE_MASTER_KEY_H

#include "csfle/key_doc.h"

#define KT_MASTER_KEY_FIELDS 6

enum kt_field_kind { KT_FIELD_TEXT, KT_FIELD_ENDPOINT, KT_FIELD_ENDPOINT_WITHOUT_DOT, KT_FIELD_FLAG };

/* One field of a provider, in the order in which drivers write them. */
struct kt_master_field {
    const char *name;
    enum kt_field_kind kind;
    bool required;
};

/* Views into the document. text: field by field; data NULL when absent; of an endpoint what is stored.
 * A flag that is set has the text "1". */
struct kt_master_key {
    struct kt_span provider; /* as the document has it; data NULL when absent */
    struct kt_span text[KT_MASTER_KEY_FIELDS];
};

/* The fields of a provider besides `provider`; *count of them. */
const struct kt_master_field *kt_master_fields(enum kt_kms kms, size_t *count);

/* Reads a checked BSON document. False: why says what is wrong, naming the field ("has no 'region'"). */
bool kt_master_key_read(struct kt_span document, enum kt_kms kms, struct kt_master_key *key, char *why,
                        size_t why_nbytes);

#endif
