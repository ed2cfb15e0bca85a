/* SPDX-License-Identifier: Apache-2.0 */
#include <strings.h>

#include "csfle/bson_cursor.h"
#include "csfle/master_key.h"

/* What names a key; versions of it, and the ways to it, do not. */
static const char *const azure[] = {"keyVaultEndpoint", "keyName", NULL};
static const char *const gcp[] = {"projectId", "location", "keyRing", "keyName", NULL};
static const char *const kmip[] = {"keyId", NULL};

static bool read_provider(struct kt_span document, struct kt_span *provider)
{
    struct kt_cursor cursor = kt_cursor_of(document);
    struct kt_element e;
    while (kt_cursor_next(&cursor, &e))
        if (kt_element_is(&e, "provider"))
            return kt_element_string(&e, provider);
    return false;
}

static bool read_key(struct kt_span document, enum kt_kms *kms, struct kt_master_key *key)
{
    struct kt_span provider;
    char why[256];
    return read_provider(document, &provider) && kt_kms_of_provider(provider, kms) &&
           kt_master_key_read(document, *kms, key, why, sizeof why);
}

/* Of hosts and of most names case means nothing. */
static bool alike(struct kt_span a, struct kt_span b)
{
    return a.nbytes == b.nbytes &&
           (a.nbytes == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.nbytes) == 0);
}

static struct kt_span field(enum kt_kms kms, const struct kt_master_key *key, const char *name)
{
    size_t count;
    const struct kt_master_field *fields = kt_master_fields(kms, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return key->text[i];
    return kt_span_of(NULL, 0);
}

static bool same_fields(enum kt_kms kms, const struct kt_master_key *a, const struct kt_master_key *b,
                        const char *const *names)
{
    for (; *names; names++)
        if (!alike(field(kms, a, *names), field(kms, b, *names)))
            return false;
    return true;
}

/* The id: of an ARN its last part. */
static struct kt_span last_part(struct kt_span key)
{
    const uint8_t *slash = key.nbytes ? memrchr(key.data, '/', key.nbytes) : NULL;
    return slash ? kt_span_of(slash + 1, key.nbytes - (size_t)(slash + 1 - key.data)) : key;
}

/* An alias may stand for any key. */
static bool same_aws(const struct kt_master_key *a, const struct kt_master_key *b)
{
    struct kt_span one = field(KT_KMS_AWS, a, "key"), other = field(KT_KMS_AWS, b, "key");
    static const char alias[] = "alias/";
    if (memmem(one.data, one.nbytes, alias, strlen(alias)) ||
        memmem(other.data, other.nbytes, alias, strlen(alias)))
        return true;
    return alike(last_part(one), last_part(other));
}

bool kt_master_key_may_be_same(struct kt_span a, struct kt_span b)
{
    enum kt_kms kms_a, kms_b;
    struct kt_master_key key_a, key_b;
    if (!read_key(a, &kms_a, &key_a) || !read_key(b, &kms_b, &key_b))
        return true;
    if (kms_a != kms_b)
        return false;
    switch (kms_a) {
    case KT_KMS_AWS:
        return same_aws(&key_a, &key_b);
    case KT_KMS_AZURE:
        return same_fields(kms_a, &key_a, &key_b, azure);
    case KT_KMS_GCP:
        return same_fields(kms_a, &key_a, &key_b, gcp);
    case KT_KMS_KMIP:
        return same_fields(kms_a, &key_a, &key_b, kmip);
    default:
        return kt_span_equal(key_a.provider, key_b.provider);
    }
}
