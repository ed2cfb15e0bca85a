/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/providers.h"

#include <stdlib.h>

#include "keys/base64.h"
#include "keys/provider_doc.h"

struct kt_providers {
    struct kt_secmem *secmem;
    char *source;
    struct kt_provider *list;
    size_t count;
};

static bool open_document(struct kt_span span, bson_t *doc)
{
    return span.data && bson_init_static(doc, span.data, span.nbytes) &&
           bson_validate(doc, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL);
}

static bool open_child(const bson_iter_t *iter, struct kt_span *span, bson_t *doc)
{
    uint32_t nbytes = 0;
    const uint8_t *data = NULL;
    if (!BSON_ITER_HOLDS_DOCUMENT(iter))
        return false;
    bson_iter_document(iter, &nbytes, &data);
    *span = kt_span_of(data, nbytes);
    return data && bson_init_static(doc, data, nbytes);
}

static enum kt_status copy_locked(struct kt_secmem *secmem, struct kt_span from, struct kt_span *to)
{
    uint8_t *data = kt_secmem_alloc(secmem, from.nbytes);
    if (!data)
        return KT_E_NOMEM;
    memcpy(data, from.data, from.nbytes);
    *to = kt_span_of(data, from.nbytes);
    return KT_OK;
}

static enum kt_status prepare_local(struct kt_secmem *secmem, struct kt_engine *engine, const bson_t *doc,
                                    const struct kt_key **local)
{
    bson_iter_t iter;
    size_t scratch_nbytes = KT_BASE64_SCRATCH(KT_DEK_NBYTES);
    struct kt_key *key = kt_secmem_alloc(secmem, KT_KEY_NBYTES);
    uint8_t *scratch = kt_secmem_alloc(secmem, KT_DEK_NBYTES + scratch_nbytes);
    bool ready = key && scratch && bson_iter_init_find(&iter, doc, "key");
    if (ready) {
        struct kt_span bytes = kt_iter_bytes(&iter);
        if (BSON_ITER_HOLDS_UTF8(&iter))
            kt_base64_read(bytes, KT_DEK_NBYTES, scratch + KT_DEK_NBYTES, scratch);
        else
            memcpy(scratch, bytes.data, KT_DEK_NBYTES);
        kt_keys_prepare(engine, scratch, &key, 1);
    }
    kt_secmem_free(secmem, scratch);
    if (!ready) {
        kt_secmem_free(secmem, key);
        return KT_E_NOMEM;
    }
    *local = key;
    return KT_OK;
}

static enum kt_status check_provider(const struct kt_providers *providers,
                                     const struct kt_provider_place *place, enum kt_kms *kms,
                                     const bson_t *doc, struct kt_error *err)
{
    if (!kt_kms_of_provider(kt_span_str(place->id), kms))
        return kt_fail(
            err, KT_E_CONFIG,
            "%s: %s: \"%.60s\" is no KMS provider; there are aws, azure, gcp, kmip and local, also "
            "with a name of letters, digits and _ (local:old)",
            place->source, place->option, place->id);
    if (kt_providers_find(providers, kt_span_str(place->id)))
        return kt_fail(err, KT_E_CONFIG, "%s: %s: \"%s\" stands there twice", place->source, place->option,
                       place->id);
    if (!bson_empty(doc))
        return kt_credentials_check(place, *kms, doc, err);
    if (strchr(place->id, ':'))
        return kt_fail(err, KT_E_CONFIG,
                       "%s: %s: \"%.60s\" is empty; only aws, azure and gcp without a name take their "
                       "credentials from the environment",
                       place->source, place->option, place->id);
    return *kms == KT_KMS_LOCAL || *kms == KT_KMS_KMIP ? kt_credentials_check(place, *kms, doc, err) : KT_OK;
}

static enum kt_status add_provider(struct kt_providers *providers, const bson_iter_t *iter,
                                   struct kt_engine *engine, struct kt_error *err)
{
    const struct kt_provider_place place = {providers->source, "kmsProviders", bson_iter_key(iter)};
    struct kt_span span;
    bson_t doc;
    enum kt_kms kms;
    if (!open_child(iter, &span, &doc))
        return kt_fail(err, KT_E_CONFIG, "%s: %s: \"%.60s\" must be a document", place.source, place.option,
                       place.id);
    enum kt_status status = check_provider(providers, &place, &kms, &doc, err);
    if (status != KT_OK)
        return status;
    struct kt_provider *provider = &providers->list[providers->count];
    provider->kms = kms;
    provider->secmem = providers->secmem;
    provider->id = strdup(place.id);
    if (!provider->id)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    providers->count++;
    status = kms == KT_KMS_LOCAL ? prepare_local(providers->secmem, engine, &doc, &provider->local)
                                 : copy_locked(providers->secmem, span, &provider->credentials);
    if (status != KT_OK)
        return kt_fail(err, status,
                       "%s: %s: no locked memory is left for \"%s\"; raise the limit (ulimit -l)",
                       place.source, place.option, place.id);
    return KT_OK;
}

static enum kt_status add_tls(struct kt_providers *providers, const bson_iter_t *iter, struct kt_error *err)
{
    const struct kt_provider_place place = {providers->source, "tlsOptions", bson_iter_key(iter)};
    struct kt_span span;
    bson_t doc;
    enum kt_kms kms;
    if (!kt_kms_of_provider(kt_span_str(place.id), &kms) || kms == KT_KMS_LOCAL)
        return kt_fail(err, KT_E_CONFIG, "%s: %s: \"%.60s\" is no KMS provider that is reached by TLS",
                       place.source, place.option, place.id);
    if (!open_child(iter, &span, &doc))
        return kt_fail(err, KT_E_CONFIG, "%s: %s: \"%.60s\" must be a document", place.source, place.option,
                       place.id);
    enum kt_status status = kt_tls_options_check(&place, &doc, err);
    if (status != KT_OK)
        return status;
    /* Options of a provider that is not configured are legal for drivers and do nothing. */
    for (size_t i = 0; i < providers->count && status == KT_OK; i++) {
        struct kt_provider *provider = &providers->list[i];
        if (strcmp(provider->id, place.id) != 0)
            continue;
        if (provider->tls_options.data)
            return kt_fail(err, KT_E_CONFIG, "%s: %s: \"%s\" stands there twice", place.source, place.option,
                           place.id);
        status = copy_locked(providers->secmem, span, &provider->tls_options);
    }
    if (status != KT_OK)
        return kt_fail(err, status,
                       "%s: %s: no locked memory is left for \"%s\"; raise the limit (ulimit -l)",
                       place.source, place.option, place.id);
    return KT_OK;
}

static enum kt_status fill(struct kt_providers *providers, struct kt_span kms_providers,
                           struct kt_span tls_options, struct kt_engine *engine, struct kt_error *err)
{
    bson_t doc, tls;
    bson_iter_t iter;
    if (!open_document(kms_providers, &doc))
        return kt_fail(err, KT_E_CONFIG, "%s: kmsProviders is no document", providers->source);
    if (bson_empty(&doc))
        return kt_fail(err, KT_E_CONFIG, "%s: kmsProviders names no KMS provider", providers->source);
    providers->list = calloc(bson_count_keys(&doc), sizeof *providers->list);
    if (!providers->list)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    enum kt_status status = KT_OK;
    bson_iter_init(&iter, &doc);
    while (status == KT_OK && bson_iter_next(&iter))
        status = add_provider(providers, &iter, engine, err);
    if (status != KT_OK || !tls_options.data)
        return status;
    if (!open_document(tls_options, &tls))
        return kt_fail(err, KT_E_CONFIG, "%s: tlsOptions is no document", providers->source);
    bson_iter_init(&iter, &tls);
    while (status == KT_OK && bson_iter_next(&iter))
        status = add_tls(providers, &iter, err);
    return status;
}

enum kt_status kt_providers_new(struct kt_providers **out, struct kt_span kms_providers,
                                struct kt_span tls_options, const char *source, struct kt_secmem *secmem,
                                struct kt_engine *engine, struct kt_error *err)
{
    *out = NULL;
    struct kt_providers *providers = calloc(1, sizeof *providers);
    char *copy = strdup(source ? source : "kmsProviders");
    if (!providers || !copy) {
        free(providers);
        free(copy);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    *providers = (struct kt_providers){.secmem = secmem, .source = copy};
    enum kt_status status = fill(providers, kms_providers, tls_options, engine, err);
    if (status != KT_OK) {
        kt_providers_free(providers);
        return status;
    }
    *out = providers;
    return KT_OK;
}

void kt_providers_free(struct kt_providers *providers)
{
    if (!providers)
        return;
    for (size_t i = 0; i < providers->count; i++) {
        struct kt_provider *provider = &providers->list[i];
        kt_secmem_free(providers->secmem, (void *)provider->credentials.data);
        kt_secmem_free(providers->secmem, (void *)provider->tls_options.data);
        kt_secmem_free(providers->secmem, (void *)provider->local);
        free((void *)provider->id);
    }
    free(providers->list);
    free(providers->source);
    free(providers);
}

const struct kt_provider *kt_providers_find(const struct kt_providers *providers, struct kt_span id)
{
    for (size_t i = 0; i < providers->count; i++)
        if (kt_span_equal(kt_span_str(providers->list[i].id), id))
            return &providers->list[i];
    return NULL;
}

size_t kt_providers_count(const struct kt_providers *providers)
{
    return providers->count;
}

const struct kt_provider *kt_providers_at(const struct kt_providers *providers, size_t i)
{
    return &providers->list[i];
}

const char *kt_providers_source(const struct kt_providers *providers)
{
    return providers->source;
}
