/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/cmk.h"

#include <stdio.h>

#include "kms/json.h"

enum charset { CHARS_ANY, CHARS_HOST, CHARS_PATH, CHARS_REGION };

struct field {
    const char *name;
    size_t at;
    bool required;
    enum charset charset;
};

#define AT(member) offsetof(struct kt_cmk, member)

static const struct field aws_fields[] = {{"region", AT(region), true, CHARS_REGION},
                                          {"key", AT(key), true, CHARS_ANY},
                                          {"endpoint", AT(endpoint), false, CHARS_HOST},
                                          {0}};
static const struct field azure_fields[] = {{"keyVaultEndpoint", AT(vault), true, CHARS_HOST},
                                            {"keyName", AT(name), true, CHARS_PATH},
                                            {"keyVersion", AT(version), false, CHARS_PATH},
                                            {0}};
static const struct field gcp_fields[] = {{"projectId", AT(project), true, CHARS_PATH},
                                          {"location", AT(location), true, CHARS_PATH},
                                          {"keyRing", AT(ring), true, CHARS_PATH},
                                          {"keyName", AT(gcp_key), true, CHARS_PATH},
                                          {"keyVersion", AT(version), false, CHARS_PATH},
                                          {"endpoint", AT(endpoint), false, CHARS_HOST},
                                          {0}};
static const struct field kmip_fields[] = {
    {"endpoint", AT(endpoint), false, CHARS_HOST}, {"keyId", AT(key_id), false, CHARS_ANY}, {0}};

static const struct field *fields_of(enum kt_kms kms)
{
    switch (kms) {
    case KT_KMS_AWS:
        return aws_fields;
    case KT_KMS_AZURE:
        return azure_fields;
    case KT_KMS_GCP:
        return gcp_fields;
    default:
        return kmip_fields;
    }
}

static bool allowed(const char *text, enum charset charset)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    /* RFC 3986 unreserved for paths (google domain projects have a colon); brackets for IPv6 hosts */
    static const char *const more[] = {[CHARS_HOST] = "-._:[]", [CHARS_PATH] = "-._~:", [CHARS_REGION] = "-"};
    if (charset == CHARS_ANY)
        return true;
    for (const char *p = text; *p; p++)
        if (!strchr(letters, *p) && !strchr(more[charset], *p))
            return false;
    return strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static enum kt_status take(const bson_t *doc, const struct field *field, struct kt_cmk *cmk,
                           struct kt_error *err)
{
    const char *text = kt_doc_text(doc, field->name);
    bool empty = !text || !*text;
    if (empty && (field->required || (text && strcmp(field->name, "keyVersion") != 0)))
        return kt_fail(err, KT_E_CONFIG, "masterKey of provider \"%.64s\" needs a non-empty string \"%s\"",
                       cmk->provider, field->name);
    if (empty)
        return KT_OK;
    if (strlen(text) > 400 || !allowed(text, field->charset))
        return kt_fail(
            err, KT_E_CONFIG,
            "masterKey of provider \"%.64s\": \"%s\" is too long or has characters that cannot stand "
            "there; correct the key document",
            cmk->provider, field->name);
    memcpy((char *)cmk + field->at, &text, sizeof text);
    return KT_OK;
}

enum kt_status kt_cmk_parse(enum kt_kms kms, struct kt_span master_key, struct kt_cmk *cmk,
                            struct kt_error *err)
{
    *cmk = (struct kt_cmk){.kms = kms};
    bson_t doc;
    if (!kt_doc_view(master_key, &doc) || !(cmk->provider = kt_doc_text(&doc, "provider")))
        return kt_fail(err, KT_E_CONFIG, "masterKey is no document with a provider");
    for (const struct field *field = fields_of(kms); field->name; field++) {
        enum kt_status status = take(&doc, field, cmk, err);
        if (status != KT_OK)
            return status;
    }
    cmk->delegated = kms == KT_KMS_KMIP && kt_doc_true(&doc, "delegated");
    return KT_OK;
}

void kt_cmk_describe(const struct kt_cmk *cmk, char *out, size_t nbytes)
{
    switch (cmk->kms) {
    case KT_KMS_AWS:
        snprintf(out, nbytes, "%s %s %s", cmk->provider, cmk->region, cmk->key);
        break;
    case KT_KMS_AZURE:
        snprintf(out, nbytes, "%s %s/%s%s%s", cmk->provider, cmk->vault, cmk->name, cmk->version ? "/" : "",
                 cmk->version ? cmk->version : "");
        break;
    case KT_KMS_GCP:
        snprintf(out, nbytes, "%s projects/%s/locations/%s/keyRings/%s/cryptoKeys/%s", cmk->provider,
                 cmk->project, cmk->location, cmk->ring, cmk->gcp_key);
        break;
    default:
        snprintf(out, nbytes, "%s%s%s key %s", cmk->provider, cmk->endpoint ? " " : "",
                 cmk->endpoint ? cmk->endpoint : "", cmk->key_id ? cmk->key_id : "(new)");
    }
}

bool kt_cmk_host(const struct kt_cmk *cmk, char *out, size_t nbytes)
{
    int n;
    if (cmk->kms == KT_KMS_AZURE)
        n = snprintf(out, nbytes, "%s", cmk->vault);
    else if (cmk->endpoint)
        n = snprintf(out, nbytes, "%s", cmk->endpoint);
    else if (cmk->kms == KT_KMS_AWS)
        n = snprintf(out, nbytes, "kms.%s.amazonaws.com%s", cmk->region,
                     strncmp(cmk->region, "cn-", 3) == 0 ? ".cn" : "");
    else if (cmk->kms == KT_KMS_GCP)
        n = snprintf(out, nbytes, "cloudkms.googleapis.com");
    else
        n = -1;
    return n > 0 && (size_t)n < nbytes;
}
