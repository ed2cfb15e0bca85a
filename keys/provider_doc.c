/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/provider_doc.h"

#include <strings.h>

#include "csfle/kms_endpoint.h"
#include "keys/base64.h"
#include "keyturn/engine.h"

enum form {
    TEXT,
    HOST,        /* host[:port], with or without scheme and path */
    DOTTED_HOST, /* the same; libmongocrypt needs a dot in it */
    BYTES,       /* binary, or base64 of it */
    LOCAL_KEY,   /* the same, 96 bytes */
    FLAG,
};

struct field {
    const char *name;
    enum form form;
    bool required;
};

static const struct field local_fields[] = {{"key", LOCAL_KEY, true}, {0}};
static const struct field aws_fields[] = {
    {"accessKeyId", TEXT, true}, {"secretAccessKey", TEXT, true}, {"sessionToken", TEXT, false}, {0}};
static const struct field azure_fields[] = {{"tenantId", TEXT, true},
                                            {"clientId", TEXT, true},
                                            {"clientSecret", TEXT, true},
                                            {"identityPlatformEndpoint", DOTTED_HOST, false},
                                            {0}};
static const struct field gcp_fields[] = {
    {"email", TEXT, true}, {"privateKey", BYTES, true}, {"endpoint", DOTTED_HOST, false}, {0}};
static const struct field kmip_fields[] = {{"endpoint", HOST, true}, {0}};
static const struct field token_fields[] = {{"accessToken", TEXT, true}, {0}};
static const struct field tls_fields[] = {{"tlsCAFile", TEXT, false},
                                          {"tlsCertificateKeyFile", TEXT, false},
                                          {"tlsCertificateKeyFilePassword", TEXT, false},
                                          {"tlsDisableOCSPEndpointCheck", FLAG, false},
                                          {0}};

static const char *const insecure_tls[] = {"tlsInsecure", "tlsAllowInvalidCertificates",
                                           "tlsAllowInvalidHostnames",
                                           "tlsDisableCertificateRevocationCheck"};

struct kt_span kt_iter_bytes(const bson_iter_t *iter)
{
    uint32_t nbytes = 0;
    if (BSON_ITER_HOLDS_UTF8(iter)) {
        const char *text = bson_iter_utf8(iter, &nbytes);
        return kt_span_of(text, nbytes);
    }
    bson_subtype_t subtype;
    const uint8_t *data = NULL;
    bson_iter_binary(iter, &subtype, &nbytes, &data);
    return kt_span_of(data, nbytes);
}

static KT_PRINTF(4, 5) enum kt_status wrong(const struct kt_provider_place *place, struct kt_error *err,
                                            const char *field, const char *fmt, ...)
{
    char what[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return kt_fail(err, KT_E_CONFIG, "%s: %s: %.60s: %.60s %s", place->source, place->option, place->id,
                   field, what);
}

static enum kt_status check_host(const struct kt_provider_place *place, const struct field *field,
                                 struct kt_span text, struct kt_error *err)
{
    struct kt_span host_port;
    /* An IPv6 address in brackets, which masterKey documents cannot have. */
    if (field->form == HOST && memchr(text.data, '[', text.nbytes))
        return KT_OK;
    const char *why = kt_endpoint_host_port(text, field->form == DOTTED_HOST, &host_port);
    return why ? wrong(place, err, field->name, "must be host[:port], and %s", why) : KT_OK;
}

static enum kt_status check_text(const struct kt_provider_place *place, const struct field *field,
                                 const bson_iter_t *iter, struct kt_error *err)
{
    if (!BSON_ITER_HOLDS_UTF8(iter))
        return wrong(place, err, field->name, "must be a string");
    struct kt_span text = kt_iter_bytes(iter);
    if (text.nbytes == 0)
        return wrong(place, err, field->name, "is empty");
    if (memchr(text.data, 0, text.nbytes))
        return wrong(place, err, field->name, "contains a NUL character");
    return field->form == TEXT ? KT_OK : check_host(place, field, text, err);
}

static enum kt_status check_bytes(const struct kt_provider_place *place, const struct field *field,
                                  const bson_iter_t *iter, struct kt_error *err)
{
    struct kt_span bytes = {0};
    if (BSON_ITER_HOLDS_UTF8(iter) || BSON_ITER_HOLDS_BINARY(iter))
        bytes = kt_iter_bytes(iter);
    else
        return wrong(place, err, field->name, "must be binary or a base64 string");
    size_t nbytes = bytes.nbytes;
    if (BSON_ITER_HOLDS_UTF8(iter) && !kt_base64_nbytes(bytes, &nbytes))
        return wrong(place, err, field->name, "is no base64 (standard alphabet, with padding)");
    if (nbytes == 0)
        return wrong(place, err, field->name, "is empty");
    if (field->form == LOCAL_KEY && nbytes != KT_DEK_NBYTES)
        return wrong(place, err, field->name, "must be %d bytes, here %zu", KT_DEK_NBYTES, nbytes);
    return KT_OK;
}

static enum kt_status check_field(const struct kt_provider_place *place, const struct field *field,
                                  const bson_iter_t *iter, struct kt_error *err)
{
    switch (field->form) {
    case TEXT:
    case HOST:
    case DOTTED_HOST:
        return check_text(place, field, iter, err);
    case BYTES:
    case LOCAL_KEY:
        return check_bytes(place, field, iter, err);
    case FLAG:
        break;
    }
    return BSON_ITER_HOLDS_BOOL(iter) ? KT_OK : wrong(place, err, field->name, "must be true or false");
}

static const struct field *find_field(const struct field *fields, const char *name)
{
    while (fields->name && strcmp(fields->name, name) != 0)
        fields++;
    return fields->name ? fields : NULL;
}

static enum kt_status check_fields(const struct kt_provider_place *place, const struct field *fields,
                                   const bson_t *doc, struct kt_error *err)
{
    unsigned seen = 0;
    bson_iter_t iter;
    if (!bson_iter_init(&iter, doc))
        return kt_fail(err, KT_E_CONFIG, "%s: %s: %.60s is broken BSON", place->source, place->option,
                       place->id);
    while (bson_iter_next(&iter)) {
        const struct field *field = find_field(fields, bson_iter_key(&iter));
        if (!field)
            return wrong(place, err, bson_iter_key(&iter), "is no field that drivers know here");
        unsigned bit = 1u << (field - fields);
        if (seen & bit)
            return wrong(place, err, field->name, "stands there twice");
        seen |= bit;
        enum kt_status status = check_field(place, field, &iter, err);
        if (status != KT_OK)
            return status;
    }
    for (size_t i = 0; fields[i].name; i++)
        if (fields[i].required && !(seen & 1u << i))
            return wrong(place, err, fields[i].name, "is missing");
    return KT_OK;
}

enum kt_status kt_credentials_check(const struct kt_provider_place *place, enum kt_kms kms, const bson_t *doc,
                                    struct kt_error *err)
{
    const struct field *fields = NULL;
    switch (kms) {
    case KT_KMS_LOCAL:
        fields = local_fields;
        break;
    case KT_KMS_AWS:
        fields = aws_fields;
        break;
    case KT_KMS_AZURE:
        fields = bson_has_field(doc, "accessToken") ? token_fields : azure_fields;
        break;
    case KT_KMS_GCP:
        fields = bson_has_field(doc, "accessToken") ? token_fields : gcp_fields;
        break;
    case KT_KMS_KMIP:
        fields = kmip_fields;
        break;
    }
    return check_fields(place, fields, doc, err);
}

enum kt_status kt_tls_options_check(const struct kt_provider_place *place, const bson_t *doc,
                                    struct kt_error *err)
{
    bson_iter_t iter;
    if (bson_iter_init(&iter, doc))
        while (bson_iter_next(&iter))
            for (size_t i = 0; i < sizeof insecure_tls / sizeof insecure_tls[0]; i++)
                if (strcasecmp(bson_iter_key(&iter), insecure_tls[i]) == 0)
                    return kt_fail(err, KT_E_CONFIG, "%s: %s: %.60s: Insecure TLS options prohibited: %s",
                                   place->source, place->option, place->id, insecure_tls[i]);
    return check_fields(place, tls_fields, doc, err);
}
