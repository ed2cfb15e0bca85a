/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/audit.h"

#include <bson/bson.h>
#include <stdlib.h>

#include "common/clock.h"
#include "io/mongo/client.h"
#include "jobs/kms_plan.h"

static enum kt_status open_providers(struct kt_audit *audit, struct kt_error *err)
{
    const struct kt_audit_options *o = &audit->options;
    struct kt_engine_options engine = {.backend = o->backend, .cpu_disable = o->cpu_disable, .log = o->log};
    struct kt_kms_options kms = {.log = o->log,
                                 .concurrency = o->kms_concurrency,
                                 .rate = o->kms_rate,
                                 .credentials = o->credentials,
                                 .credentials_context = o->credentials_context};
    if (!o->kms_providers.bson.data)
        return KT_OK;
    enum kt_status status = kt_secmem_open(&audit->secmem, err);
    if (status == KT_OK)
        status = kt_engine_open(&audit->engine, &engine, err);
    if (status == KT_OK)
        status = kt_providers_new(&audit->providers, o->kms_providers.bson, o->tls_options.bson,
                                  o->kms_providers.name, audit->secmem, audit->engine, err);
    kms.secmem = audit->secmem;
    if (status == KT_OK)
        status = kt_kms_strategies_new(&audit->kms, audit->providers, &kms, err);
    if (status == KT_OK)
        audit->strategies = kt_kms_strategies_all(audit->kms);
    return status;
}

/* The CMK that --cmk asks for, in the form in which key documents name it. */
static enum kt_status normalise_asked(struct kt_audit *audit, struct kt_error *err)
{
    const struct kt_document *cmk = &audit->options.cmk;
    bson_t view;
    bson_iter_t iter;
    uint32_t nbytes;
    if (!cmk->bson.data)
        return KT_OK;
    if (!bson_init_static(&view, cmk->bson.data, cmk->bson.nbytes) ||
        !bson_iter_init_find(&iter, &view, "provider") || !BSON_ITER_HOLDS_UTF8(&iter))
        return kt_fail(err, KT_E_USAGE, "--cmk needs a masterKey document with its provider");
    const char *provider = bson_iter_utf8(&iter, &nbytes);
    enum kt_status status =
        kt_master_key_normalise(kt_span_of(provider, nbytes), cmk->bson, &audit->asked, err);
    if (status == KT_OK)
        kt_master_key_describe(kt_span_of(audit->asked.data, audit->asked.nbytes), audit->asked_name,
                               sizeof audit->asked_name);
    audit->result.asked = audit->asked_name;
    return status;
}

static enum kt_status read_vaults(struct kt_audit *audit, struct kt_error *err)
{
    size_t count = 0;
    while (audit->options.key_vaults && audit->options.key_vaults[count])
        count++;
    if (count == 0)
        return kt_fail(err, KT_E_USAGE, "status needs --key-vault");
    audit->vaults = calloc(count, sizeof *audit->vaults);
    audit->readings = calloc(count, sizeof *audit->readings);
    if (!audit->vaults || !audit->readings)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    audit->result.vaults = audit->vaults;
    for (size_t i = 0; i < count; i++) {
        struct kt_audit_reading *reading = &audit->readings[i];
        audit->vaults[i].name = audit->options.key_vaults[i];
        audit->vaults[i].where = "";
        reading->shown = &audit->vaults[i];
        reading->cmks.providers = audit->providers;
        reading->cmks.strategies = &audit->strategies;
        audit->result.vaults_count = i + 1;
        enum kt_status status = kt_audit_read_vault(audit, reading, audit->options.key_vaults[i], err);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

/* What the trials said, as it is shown. */
static void show_use(const struct kt_cmk *cmk, struct kt_audit_cmk *shown)
{
    if (!cmk->provider) {
        shown->use = KT_USE_NO;
        shown->why = "its provider is not configured";
        return;
    }
    shown->use = cmk->tried == KT_OK ? KT_USE_YES : KT_USE_NO;
    shown->why = cmk->why;
}

/* All key vaults at once: a KMS that is away is waited for once. */
static enum kt_status try_cmks(struct kt_audit *audit, struct kt_error *err)
{
    size_t count = audit->providers ? audit->result.vaults_count : 0;
    struct kt_cmks **lists = calloc(count + 1, sizeof *lists);
    if (!lists)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (size_t v = 0; v < count; v++)
        lists[v] = &audit->readings[v].cmks;
    enum kt_status status = count ? kt_cmks_try(lists, count, audit->secmem, audit->engine) : KT_OK;
    free(lists);
    if (status != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "locked memory ran out");
    for (size_t v = 0; v < count; v++)
        for (size_t i = 0; i < audit->readings[v].cmks.count; i++)
            show_use(audit->readings[v].cmks.v[i], &audit->readings[v].ages[i]);
    return KT_OK;
}

static void sum_up(struct kt_audit *audit)
{
    struct kt_audit_result *result = &audit->result;
    for (size_t v = 0; v < result->vaults_count; v++) {
        struct kt_audit_vault *vault = &audit->vaults[v];
        vault->cmks = audit->readings[v].ages;
        vault->cmks_count = audit->readings[v].cmks.count;
        result->broken += vault->broken;
        result->duplicate_names += vault->duplicate_names;
        result->bad_indexes += vault->index != KT_INDEX_UNKNOWN && vault->index != KT_INDEX_GOOD;
        for (size_t i = 0; i < vault->cmks_count; i++) {
            result->old += vault->cmks[i].old > 0;
            result->versionless += vault->cmks[i].versionless;
            result->unusable += vault->cmks[i].use == KT_USE_NO;
        }
    }
    bool found = result->old || result->versionless || result->unusable || result->broken ||
                 result->duplicate_names || result->bad_indexes;
    result->has_kms = kt_kms_counted(audit->kms, &result->kms);
    result->looked_at_data = audit->options.from != NULL;
    result->exit = found ? 5 : 0;
}

enum kt_status kt_audit_run(struct kt_audit **out, const struct kt_audit_options *options,
                            struct kt_error *err)
{
    *out = NULL;
    struct kt_audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    audit->options = *options;
    audit->result.now_ms = kt_clock_utc_ms();
    if (!audit->options.key_vault_namespace)
        audit->options.key_vault_namespace = "encryption.__keyVault";
    enum kt_status status = KT_OK;
    if (options->from && kt_mongo_is_uri(options->from))
        status = kt_fail(err, KT_E_USAGE,
                         "status looks for unused DEKs in a dump; take one with mongodump and name it "
                         "with --from");
    if (status == KT_OK)
        status = open_providers(audit, err);
    if (status == KT_OK)
        status = normalise_asked(audit, err);
    if (status == KT_OK)
        status = read_vaults(audit, err);
    if (status == KT_OK)
        status = try_cmks(audit, err);
    if (status == KT_OK && options->from)
        status = kt_audit_read_data(audit, err);
    if (status != KT_OK) {
        kt_audit_free(audit);
        return status;
    }
    sum_up(audit);
    *out = audit;
    return KT_OK;
}

const struct kt_audit_result *kt_audit_result(const struct kt_audit *audit)
{
    return &audit->result;
}

void kt_audit_free(struct kt_audit *audit)
{
    if (!audit)
        return;
    kt_kms_strategies_stop(audit->kms);
    for (size_t i = 0; i < audit->result.vaults_count; i++)
        kt_audit_reading_free(&audit->readings[i]);
    free(audit->readings);
    free(audit->vaults);
    kt_buf_free(&audit->asked);
    kt_kms_strategies_free(audit->kms);
    kt_providers_free(audit->providers);
    kt_engine_close(audit->engine);
    kt_secmem_close(audit->secmem);
    free(audit);
}
