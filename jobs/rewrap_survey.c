/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "jobs/rewrap.h"

bool kt_rewrap_matches(const struct kt_rewrap *rewrap, const struct kt_key_doc *key)
{
    if (rewrap->older_than_ms && key->update_ms > rewrap->now_ms - rewrap->older_than_ms)
        return false;
    return !rewrap->filter || kt_filter_matches(rewrap->filter, key->doc);
}

struct kt_cmk *kt_rewrap_cmk(struct kt_rewrap *rewrap, const struct kt_key_doc *key)
{
    for (size_t i = 0; i < rewrap->cmks_count; i++) {
        const struct kt_buf *known = &rewrap->cmks[i].master_key;
        if (kt_span_equal(key->master_key, kt_span_of(known->data, known->nbytes)))
            return &rewrap->cmks[i];
    }
    return NULL;
}

enum kt_status kt_rewrap_find_provider(const struct kt_job *job, struct kt_span id, struct kt_cmk *cmk,
                                       struct kt_error *err)
{
    cmk->provider = kt_providers_find(job->providers, id);
    if (!cmk->provider)
        return kt_fail(err, KT_E_NO_PROVIDER, "%s lacks provider \"%.*s\"", job->options.kms_providers.name,
                       (int)id.nbytes, (const char *)id.data);
    cmk->strategy = kt_strategies_find(&job->strategies, cmk->provider);
    if (!cmk->strategy)
        return kt_fail(err, KT_E_NO_PROVIDER,
                       "this build of keyturn has no way to the KMS of provider \"%s\"", cmk->provider->id);
    return KT_OK;
}

enum kt_status kt_rewrap_add_cmk(struct kt_job *job, struct kt_rewrap *rewrap, const struct kt_key_doc *key,
                                 struct kt_cmk **out, struct kt_error *err)
{
    struct kt_cmk *cmks = realloc(rewrap->cmks, (rewrap->cmks_count + 1) * sizeof *cmks);
    if (!cmks)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    rewrap->cmks = cmks;
    struct kt_cmk *cmk = &cmks[rewrap->cmks_count];
    *cmk = (struct kt_cmk){0};
    enum kt_status status = kt_buf_append(&cmk->master_key, key->master_key.data, key->master_key.nbytes);
    if (status != KT_OK)
        return kt_fail(err, status, "memory ran out");
    rewrap->cmks_count++;
    kt_master_key_describe(key->master_key, cmk->name, sizeof cmk->name);
    *out = cmk;
    return kt_rewrap_find_provider(job, key->provider, cmk, err);
}

static enum kt_status survey_key(struct kt_job *job, struct kt_rewrap *rewrap, const struct kt_key_doc *key,
                                 struct kt_error *err)
{
    struct kt_error missing;
    struct kt_cmk *cmk = kt_rewrap_cmk(rewrap, key);
    if (!kt_rewrap_matches(rewrap, key))
        return KT_OK;
    if (!cmk) {
        enum kt_status status = kt_rewrap_add_cmk(job, rewrap, key, &cmk, &missing);
        if (status != KT_OK && status != KT_E_NO_PROVIDER)
            return kt_fail(err, status, "%s", missing.message);
    }
    cmk->matched++;
    if (cmk->probes == KT_PROBE_KEYS)
        return KT_OK;
    struct kt_buf *probe = &cmk->probe[cmk->probes++];
    return kt_buf_append(probe, key->key_material.data, key->key_material.nbytes);
}

static enum kt_status survey_piece(struct kt_job *job, struct kt_rewrap *rewrap, const uint8_t *docs,
                                   size_t nbytes, struct kt_error *err)
{
    struct kt_key_doc key;
    for (size_t at = 0; at < nbytes; at += kt_load_le32(docs + at)) {
        /* Documents that are no keys are the job's matter: each of them fails for itself. */
        struct kt_span doc = kt_span_of(docs + at, kt_load_le32(docs + at));
        if (kt_key_doc_parse(doc, &key, NULL) != KT_OK)
            continue;
        enum kt_status status = survey_key(job, rewrap, &key, err);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

static enum kt_status survey_source(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_source *source,
                                    struct kt_region *region, struct kt_error *err)
{
    struct kt_piece piece = {0};
    for (;;) {
        enum kt_status status = kt_source_next(source, KT_BATCH_NBYTES, region, &piece, err);
        if (status != KT_OK || piece.kind == KT_PIECE_END)
            return status;
        const struct kt_entry *entry = kt_source_entry(source, piece.entry);
        if (piece.kind != KT_PIECE_DOCS || !kt_job_entry_namespace(job, entry))
            continue;
        status = survey_piece(job, rewrap, region->data, piece.nbytes, err);
        if (status != KT_OK)
            return status;
    }
}

static const char *provider_id(const struct kt_cmk *cmk, bson_t *view)
{
    bson_iter_t iter;
    return bson_init_static(view, cmk->master_key.data, cmk->master_key.nbytes) &&
                   bson_iter_init_find(&iter, view, "provider") && BSON_ITER_HOLDS_UTF8(&iter)
               ? bson_iter_utf8(&iter, NULL)
               : "";
}

/* All that is missing in one message would be long: the first, and how many keys need it. */
static enum kt_status all_providers_known(struct kt_job *job, const struct kt_rewrap *rewrap,
                                          struct kt_error *err)
{
    for (size_t i = 0; i < rewrap->cmks_count; i++) {
        const struct kt_cmk *cmk = &rewrap->cmks[i];
        bson_t view;
        if (cmk->strategy)
            continue;
        const char *id = provider_id(cmk, &view);
        unsigned long long keys = (unsigned long long)cmk->matched;
        const char *form =
            cmk->provider
                ? "%s: this build of keyturn has no way to the KMS of provider \"%s\"; %llu DEKs need it"
                : "%s lacks provider \"%s\"; %llu DEKs need it";
        return kt_fail(err, KT_E_NO_PROVIDER, form, job->options.kms_providers.name, id, keys);
    }
    return KT_OK;
}

enum kt_status kt_rewrap_survey(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    struct kt_source *source;
    struct kt_region region = {0};
    enum kt_status status = kt_source_open(&source, job->options.key_vault, NULL, err);
    if (status != KT_OK)
        return status;
    status = survey_source(job, rewrap, source, &region, err);
    kt_region_free(&region);
    kt_source_close(source);
    return status == KT_OK ? all_providers_known(job, rewrap, err) : status;
}
