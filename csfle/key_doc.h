/* SPDX-License-Identifier: Apache-2.0 */
/* Key vault documents, read raw. Source: MongoDB specifications, client-side-encryption, "Appendix: Data Key
 * Schema"; libmongocrypt mongocrypt-key.c, mongocrypt-kek.c. */
#ifndef KT_CSFLE_KEY_DOC_H
#define KT_CSFLE_KEY_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kms_type.h"
#include "common/span.h"

/* Views into the document; offsets count from its first byte. */
struct kt_key_doc {
    struct kt_span doc;
    const uint8_t *id;           /* 16 bytes */
    struct kt_span key_material; /* the wrapped DEK */
    struct kt_span master_key;   /* BSON document, checked for its provider's fields */
    struct kt_span provider;     /* "aws", "local:old": type, or type:name */
    enum kt_kms kms;             /* its type */
    struct kt_span alt_names;    /* BSON array document; data NULL: none */
    int64_t creation_ms, update_ms;
    /* elements (offset of the type byte, length with type, name and value), for the update */
    uint32_t master_key_at, master_key_nbytes, key_material_at, key_material_nbytes, update_at, update_nbytes;
};

/* Strict: fields of formats' section "Key vault document", nothing else; types and subtypes as they say;
 * wrapped length at least 96 (local: exactly 160). KT_OK, KT_E_FORMAT (no BSON), KT_E_KEY (a key document
 * that drivers would refuse; message names the field, and _id when known), KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_key_doc_parse(struct kt_span doc, struct kt_key_doc *key, struct kt_error *err);

/* Next of a key's alternative names: start with *at = 0; false at the end. */
bool kt_key_doc_alt_name(const struct kt_key_doc *key, size_t *at, struct kt_span *name);

/* Checks a masterKey document of the given provider id as drivers would ("provider" may stand in it or not)
 * and writes its stored form (provider first, then the fields in the drivers' order, endpoints normalised to
 * host[:port]) behind out. KT_OK, KT_E_CONFIG (names the field), KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_master_key_normalise(struct kt_span provider, struct kt_span master_key,
                                                   struct kt_buf *out, struct kt_error *err);

/* Provider id to type ("kmip:eu" is KT_KMS_KMIP). False when the type is unknown or the name is not
 * [a-zA-Z0-9_]+. */
bool kt_kms_of_provider(struct kt_span provider, enum kt_kms *kms);

/* A short name of a CMK for screens ("local:old", "aws us-east-1 key/6f1c..."), NUL-terminated, cut to fit.
 */
void kt_master_key_describe(struct kt_span master_key, char *out, size_t nbytes);

/* Whether two masterKey documents name one CMK, or may: another version of it, another way to it, an alias.
 * What does not parse may be any. */
bool kt_master_key_may_be_same(struct kt_span a, struct kt_span b);

/* The update of a rewrap: masterKey, keyMaterial and updateDate get new values in their places, every other
 * byte and the order of fields stay. material_nbytes of keyMaterial are left as a hole at out + *hole. out
 * has room for kt_key_doc_update_nbytes(). Returns the length. */
size_t kt_key_doc_update_nbytes(const struct kt_key_doc *key, struct kt_span master_key,
                                size_t material_nbytes);
size_t kt_key_doc_update(const struct kt_key_doc *key, struct kt_span master_key, size_t material_nbytes,
                         int64_t update_ms, uint8_t *out, size_t *hole);

/* A new key document: _id, keyAltNames when there are any, keyMaterial, creationDate, updateDate, status 0,
 * masterKey: libmongocrypt's order. Appends to out. */
struct kt_key_doc_new {
    const uint8_t *id;
    struct kt_span key_material, master_key;
    int64_t now_ms;
    const struct kt_span *alt_names;
    size_t alt_names_count;
};
KT_MUST_USE enum kt_status kt_key_doc_build(const struct kt_key_doc_new *key, struct kt_buf *out);

#endif
