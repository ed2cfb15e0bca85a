/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/master_key.h"

#include <stdio.h>

#include "csfle/bson_cursor.h"
#include "csfle/bson_type.h"
#include "csfle/kms_endpoint.h"

static const struct kt_master_field aws[] = {
    {"region", KT_FIELD_TEXT, true},
    {"key", KT_FIELD_TEXT, true},
    {"endpoint", KT_FIELD_ENDPOINT, false},
};
static const struct kt_master_field azure[] = {
    {"keyVaultEndpoint", KT_FIELD_ENDPOINT, true},
    {"keyName", KT_FIELD_TEXT, true},
    {"keyVersion", KT_FIELD_TEXT, false},
};
static const struct kt_master_field gcp[] = {
    {"projectId", KT_FIELD_TEXT, true},   {"location", KT_FIELD_TEXT, true},
    {"keyRing", KT_FIELD_TEXT, true},     {"keyName", KT_FIELD_TEXT, true},
    {"keyVersion", KT_FIELD_TEXT, false}, {"endpoint", KT_FIELD_ENDPOINT, false},
};
static const struct kt_master_field kmip[] = {
    {"endpoint", KT_FIELD_ENDPOINT_WITHOUT_DOT, false},
    {"delegated", KT_FIELD_FLAG, false},
    {"keyId", KT_FIELD_TEXT, false},
};

static const struct {
    const char *name;
    enum kt_kms kms;
    const struct kt_master_field *fields;
    size_t count;
} providers[] = {
    {"local", KT_KMS_LOCAL, NULL, 0}, {"aws", KT_KMS_AWS, aws, 3},    {"azure", KT_KMS_AZURE, azure, 3},
    {"gcp", KT_KMS_GCP, gcp, 6},      {"kmip", KT_KMS_KMIP, kmip, 3},
};
#define PROVIDERS (sizeof providers / sizeof providers[0])

const struct kt_master_field *kt_master_fields(enum kt_kms kms, size_t *count)
{
    for (size_t i = 0; i < PROVIDERS; i++) {
        if (providers[i].kms == kms) {
            *count = providers[i].count;
            return providers[i].fields;
        }
    }
    *count = 0;
    return NULL;
}

static bool is_provider_name(struct kt_span name)
{
    for (size_t i = 0; i < name.nbytes; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return name.nbytes > 0;
}

bool kt_kms_of_provider(struct kt_span provider, enum kt_kms *kms)
{
    const uint8_t *colon = provider.nbytes ? memchr(provider.data, ':', provider.nbytes) : NULL;
    struct kt_span type = provider;
    if (colon) {
        type.nbytes = (size_t)(colon - provider.data);
        if (!is_provider_name(kt_span_of(colon + 1, provider.nbytes - type.nbytes - 1)))
            return false;
    }
    for (size_t i = 0; i < PROVIDERS; i++) {
        if (kt_span_equal(type, kt_span_str(providers[i].name))) {
            *kms = providers[i].kms;
            return true;
        }
    }
    return false;
}

static bool read_text(const struct kt_element *e, struct kt_span *text)
{
    return kt_element_string(e, text) && (text->nbytes == 0 || !memchr(text->data, 0, text->nbytes));
}

static bool read_field(const struct kt_element *e, const struct kt_master_field *field, struct kt_span *text,
                       char *why, size_t why_nbytes)
{
    if (field->kind == KT_FIELD_FLAG) {
        if (e->type == KT_BSON_BOOL) {
            *text = e->value.data[0] ? kt_span_str("1") : kt_span_of(NULL, 0);
            return true;
        }
        snprintf(why, why_nbytes, "'%s' must be a bool, is %s", field->name, kt_bson_type_name(e->type));
        return false;
    }
    if (!read_text(e, text)) {
        snprintf(why, why_nbytes, "'%s' must be a string without NUL, is %s", field->name,
                 kt_bson_type_name(e->type));
        return false;
    }
    if (field->kind == KT_FIELD_TEXT)
        return true;
    const char *wrong = kt_endpoint_host_port(*text, field->kind == KT_FIELD_ENDPOINT, text);
    if (wrong)
        snprintf(why, why_nbytes, "'%s' %s", field->name, wrong);
    return wrong == NULL;
}

enum { PROVIDER = -1, NO_FIELD = -2 };

/* Index into fields, or one of the two above. */
static int number_of(const struct kt_element *e, const struct kt_master_field *fields, size_t count)
{
    if (kt_element_is(e, "provider"))
        return PROVIDER;
    for (size_t i = 0; i < count; i++)
        if (kt_element_is(e, fields[i].name))
            return (int)i;
    return NO_FIELD;
}

bool kt_master_key_read(struct kt_span document, enum kt_kms kms, struct kt_master_key *key, char *why,
                        size_t why_nbytes)
{
    size_t count;
    const struct kt_master_field *fields = kt_master_fields(kms, &count);
    struct kt_cursor cursor = kt_cursor_of(document);
    struct kt_element e;
    unsigned seen = 0;
    *key = (struct kt_master_key){0};
    while (kt_cursor_next(&cursor, &e)) {
        int i = number_of(&e, fields, count);
        if (i == NO_FIELD) {
            snprintf(why, why_nbytes, "has an unknown field '%.100s'", (const char *)e.name.data);
            return false;
        }
        if (seen & 1u << (i + 1)) {
            snprintf(why, why_nbytes, "has '%s' twice", (const char *)e.name.data);
            return false;
        }
        seen |= 1u << (i + 1);
        if (i >= 0 && !read_field(&e, &fields[i], &key->text[i], why, why_nbytes))
            return false;
        if (i == PROVIDER && !read_text(&e, &key->provider)) {
            snprintf(why, why_nbytes, "'provider' must be a string");
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].required && !key->text[i].data) {
            snprintf(why, why_nbytes, "has no '%s'", fields[i].name);
            return false;
        }
    }
    return true;
}
