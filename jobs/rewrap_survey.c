/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "jobs/live.h"
#include "jobs/only.h"
#include "jobs/rewrap.h"

bool kt_rewrap_matches(const struct kt_rewrap *rewrap, const struct kt_key_doc *key)
{
    if (rewrap->older_than_ms && key->update_ms > rewrap->now_ms - rewrap->older_than_ms)
        return false;
    return !rewrap->filter || kt_filter_matches(rewrap->filter, key->doc);
}

uint64_t kt_rewrap_matching(const struct kt_rewrap *rewrap)
{
    uint64_t keys = 0;
    for (size_t i = 0; i < rewrap->cmks.count; i++)
        keys += rewrap->cmks.v[i]->keys;
    return keys;
}

/* Where a survey is. */
struct survey {
    struct kt_job *job;
    const char *ns;
};

/* Keys that --only leaves out are no matter of the job: neither their providers nor their CMKs are needed. */
static bool is_listed(const struct survey *survey, const uint8_t *docs, size_t at)
{
    const struct kt_only *only = survey->job->only;
    struct kt_doc where = {.at = (uint32_t)at};
    return !only || kt_only_lists(only, survey->ns, docs, &where);
}

static enum kt_status survey_piece(const struct survey *survey, const uint8_t *docs, size_t nbytes,
                                   struct kt_error *err)
{
    struct kt_rewrap *rewrap = survey->job->state;
    struct kt_key_doc key;
    for (size_t at = 0; at < nbytes; at += kt_load_le32(docs + at)) {
        /* Documents that are no keys are the job's matter: each of them fails for itself. */
        struct kt_span doc = kt_span_of(docs + at, kt_load_le32(docs + at));
        if (!is_listed(survey, docs, at) || kt_key_doc_parse(doc, &key, NULL) != KT_OK)
            continue;
        struct kt_cmk *cmk;
        if (kt_rewrap_matches(rewrap, &key) && kt_cmks_count(&rewrap->cmks, &key, &cmk) != KT_OK)
            return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    return KT_OK;
}

static enum kt_status survey_source(struct kt_job *job, struct kt_source *source, struct kt_region *region,
                                    struct kt_error *err)
{
    struct kt_piece piece = {0};
    struct survey survey = {.job = job};
    for (;;) {
        enum kt_status status = kt_source_next(source, KT_BATCH_NBYTES, region, &piece, err);
        if (status != KT_OK || piece.kind == KT_PIECE_END)
            return status;
        const struct kt_namespace *ns =
            piece.kind == KT_PIECE_DOCS ? kt_job_entry_namespace(job, kt_source_entry(source, piece.entry))
                                        : NULL;
        if (!ns)
            continue;
        survey.ns = ns->name;
        status = survey_piece(&survey, region->data, piece.nbytes, err);
        if (status != KT_OK)
            return status;
    }
}

/* All that is missing in one message would be long: the first, and how many keys need it. */
static enum kt_status all_providers_known(struct kt_job *job, const struct kt_rewrap *rewrap,
                                          struct kt_error *err)
{
    for (size_t i = 0; i < rewrap->cmks.count; i++) {
        const struct kt_cmk *cmk = rewrap->cmks.v[i];
        char id[128];
        if (cmk->strategy)
            continue;
        kt_cmk_provider_id(cmk, id, sizeof id);
        return kt_fail(err, KT_E_NO_PROVIDER, "%s lacks provider \"%s\"; %llu DEKs need it",
                       job->options.kms_providers.name, id, (unsigned long long)cmk->keys);
    }
    return KT_OK;
}

static enum kt_status survey_one(void *context, const bson_t *doc, struct kt_error *err)
{
    return survey_piece(context, bson_get_data(doc), doc->len, err);
}

static enum kt_status survey_server(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    struct survey survey = {job, job->options.key_vault_namespace};
    bson_t all = BSON_INITIALIZER;
    const bson_t *query = job->live->query ? job->live->query : &all;
    enum kt_status status = kt_mongo_each(job->live->mongo, survey.ns, query, NULL, survey_one, &survey, err);
    bson_destroy(&all);
    return status == KT_OK ? all_providers_known(job, rewrap, err) : status;
}

enum kt_status kt_rewrap_survey(struct kt_job *job, struct kt_rewrap *rewrap, struct kt_error *err)
{
    struct kt_source *source;
    struct kt_region region = {0};
    if (job->live)
        return survey_server(job, rewrap, err);
    /* The job's own source may have a name that the store does not say by itself. */
    const struct kt_entry *entry = kt_source_entry(job->source, 0);
    bool lone = kt_source_container(job->source) == KT_BSON_FILE && entry;
    enum kt_status status = kt_source_open(&source, job->options.key_vault, NULL, err);
    if (status == KT_OK && lone && (status = kt_source_set_ns(source, entry->ns, err)) != KT_OK)
        kt_source_close(source);
    if (status != KT_OK)
        return status;
    status = survey_source(job, source, &region, err);
    kt_region_free(&region);
    kt_source_close(source);
    return status == KT_OK ? all_providers_known(job, rewrap, err) : status;
}
