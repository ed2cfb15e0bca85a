/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/setup.h"

#include <sched.h>
#include <stdlib.h>

#include "jobs/crypt.h"
#include "jobs/file_checks.h"
#include "jobs/live.h"
#include "jobs/namespaces.h"
#include "jobs/only.h"
#include "jobs/resume.h"
#include "jobs/vault_file.h"
#include "jobs/vault_mongo.h"
#include "keys/strategy_kms.h"

#define THREADS_MAX 256
#define LANES_A_CORE 4
#define CACHE_SLOTS_MAX 1024
#define CACHE_SLOTS_MIN 8

static const struct kt_command *command_of(enum kt_job_kind kind)
{
    switch (kind) {
    case KT_JOB_ENCRYPT:
        return &kt_command_encrypt;
    case KT_JOB_DECRYPT:
        return &kt_command_decrypt;
    case KT_JOB_VERIFY:
        return &kt_command_verify;
    case KT_JOB_REWRAP:
        return &kt_command_rewrap;
    }
    return NULL;
}

static int usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static enum kt_status open_kms(struct kt_job *job, struct kt_error *err)
{
    struct kt_kms_options options = {.secmem = job->secmem,
                                     .log = job->log,
                                     .concurrency = job->options.kms_concurrency,
                                     .rate = job->options.kms_rate,
                                     .credentials = job->options.credentials,
                                     .credentials_context = job->options.credentials_context};
    enum kt_status status = kt_kms_strategies_new(&job->kms, job->providers, &options, err);
    if (status == KT_OK)
        job->strategies = kt_kms_strategies_all(job->kms);
    return status;
}

static enum kt_status open_ground(struct kt_job *job, struct kt_error *err)
{
    struct kt_job_options *o = &job->options;
    struct kt_engine_options engine = {.backend = o->backend, .cpu_disable = o->cpu_disable, .log = job->log};
    /* On a server more lanes than cores hide the round trips. */
    job->threads = o->threads > 0 ? o->threads : usable_cores() * (kt_live_wanted(o) ? LANES_A_CORE : 1);
    if (job->threads > THREADS_MAX)
        job->threads = THREADS_MAX;
    enum kt_status status = kt_secmem_open(&job->secmem, err);
    if (status == KT_OK)
        status = kt_engine_open(&job->engine, &engine, err);
    if (status == KT_OK)
        status = kt_providers_new(&job->providers, o->kms_providers.bson, o->tls_options.bson,
                                  o->kms_providers.name, job->secmem, job->engine, err);
    if (status == KT_OK)
        status = open_kms(job, err);
    if (status == KT_OK && o->schema_map.bson.data)
        status = kt_schema_map_new(&job->schemas, o->schema_map.bson, o->schema_map.name, err);
    if (status == KT_OK && o->only)
        status = kt_only_new(&job->only, o->only, err);
    return status;
}

static enum kt_status open_vault(struct kt_job *job, struct kt_key_source *source, struct kt_error *err)
{
    const char *name = job->options.key_vault, *ns = job->options.key_vault_namespace;
    enum kt_status status;
    if (!name || kt_mongo_is_uri(name)) {
        status = kt_vault_mongo_open(&job->vault_server, name, job->live ? job->live->mongo : NULL, ns,
                                     job->log, err);
        if (status == KT_OK)
            *source = kt_vault_mongo_source(job->vault_server);
        return status;
    }
    status = kt_vault_file_open(&job->vault, name, ns, err);
    if (status == KT_OK)
        *source = kt_vault_file_source(job->vault);
    return status;
}

/* What does not fit into memory is missing from the figures alone. */
static void count_asked(void *job, struct kt_span master_key)
{
    struct kt_cmk *cmk;
    struct kt_key_doc key = {.master_key = master_key};
    if (kt_cmks_count(&((struct kt_job *)job)->key_cmks, &key, &cmk) != KT_OK)
        return;
}

static enum kt_status open_keys(struct kt_job *job, struct kt_error *err)
{
    struct kt_key_source source;
    enum kt_status status = open_vault(job, &source, err);
    if (status != KT_OK)
        return status;
    struct kt_key_table_options options = {.providers = job->providers,
                                           .secmem = job->secmem,
                                           .source = source,
                                           .strategies = job->strategies,
                                           .asked = count_asked,
                                           .asked_context = job,
                                           .log = job->log};
    job->key_cmks.providers = job->providers;
    job->key_cmks.strategies = &job->strategies;
    status = kt_key_table_new(&job->table, &options, job->engine, err);
    /* decrypt takes the keys that the payloads name; one that the schema names need not be there. */
    if (status == KT_OK && job->command->needs_schema)
        status = kt_job_settle_rule_keys(job, err);
    if (status == KT_OK && kt_kms_draft_of_keys(job) != KT_OK)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    return status;
}

static size_t pointers_max(const struct kt_job *job)
{
    size_t most = 0;
    for (size_t i = 0; i < job->namespaces_count; i++) {
        const struct kt_schema *schema = job->namespaces[i].schema;
        if (schema && kt_schema_pointers(schema) > most)
            most = kt_schema_pointers(schema);
    }
    return most;
}

static enum kt_status open_worker(struct kt_job *job, struct kt_worker *worker, size_t slots,
                                  struct kt_error *err)
{
    struct kt_engine_options engine = {.backend = kt_engine_backend(job->engine),
                                       .cpu_disable = job->options.cpu_disable};
    enum kt_status status = kt_engine_open(&worker->engine, &engine, err);
    if (status != KT_OK || !job->table)
        return status;
    size_t pointers = pointers_max(job);
    worker->pointers.v = calloc(pointers ? pointers : 1, sizeof *worker->pointers.v);
    worker->slice = kt_slice_new(slots);
    if (!worker->pointers.v || !worker->slice)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (kt_dek_cache_new(&worker->cache, job->table, worker->engine, slots) != KT_OK)
        return kt_fail(
            err, KT_E_CONFIG,
            "locked memory is too small for %d threads; raise the limit (ulimit -l) or lower --threads",
            job->threads);
    return KT_OK;
}

/* verify lists only when it is asked to. */
static enum kt_status check_lists(struct kt_job *job, struct kt_error *err)
{
    /* A killed job reads --only again. */
    const struct kt_job_options *o = &job->options;
    const struct kt_named_path others[] = {{"--only", o->only}, {"--to", o->to}, {"--backup", o->backup}};
    enum kt_status status = KT_OK;
    if (!job->command->writes && !job->failures.named)
        return KT_OK;
    for (size_t i = 0; status == KT_OK && i < job->namespaces_count; i++)
        status = kt_failures_check(&job->failures, job->namespaces[i].name, others,
                                   sizeof others / sizeof *others, err);
    return status;
}

static enum kt_status open_team(struct kt_job *job, struct kt_error *err)
{
    size_t rules = 0;
    for (size_t i = 0; i < job->namespaces_count; i++) {
        if (job->namespaces[i].counts.paths_count > rules)
            rules = job->namespaces[i].counts.paths_count;
    }
    size_t slots = kt_secmem_available(job->secmem) / 2 / (size_t)job->threads / KT_KEY_NBYTES;
    slots = slots > CACHE_SLOTS_MAX ? CACHE_SLOTS_MAX : slots < CACHE_SLOTS_MIN ? CACHE_SLOTS_MIN : slots;
    job->workers = calloc((size_t)job->threads, sizeof *job->workers);
    job->team.workers = calloc((size_t)job->threads, sizeof *job->team.workers);
    job->result_namespaces = calloc(job->namespaces_count + 1, sizeof *job->result_namespaces);
    if (!job->workers || !job->team.workers || !job->result_namespaces)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    for (int i = 0; i < job->threads; i++) {
        job->team.workers[i] = &job->workers[i];
        enum kt_status status = open_worker(job, &job->workers[i], slots, err);
        if (status != KT_OK)
            return status;
    }
    if (job->live)
        return KT_OK;
    job->team.threads = job->threads;
    job->team.source = job->source;
    job->team_open = true;
    return kt_team_init(&job->team, rules) == KT_OK ? KT_OK : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

static enum kt_status open_sink(struct kt_job *job, struct kt_error *err)
{
    if (!job->command->writes || !job->options.to)
        return KT_OK;
    if (job->options.dry_run)
        return kt_job_look(job, err);
    enum kt_status status = kt_sink_open(&job->sink, job->options.to, job->source, err);
    job->team.sink = job->sink;
    if (status == KT_OK)
        status = kt_job_resume(job, err);
    /* A CMK that refuses now may have had its keys done by then. */
    job->doomed = job->doomed && !job->result.resumed;
    return status;
}

static enum kt_status open_source(struct kt_job *job, struct kt_error *err)
{
    bool rewrap = job->command == &kt_command_rewrap;
    enum kt_status status =
        kt_source_open(&job->source, rewrap ? job->options.key_vault : job->options.from, NULL, err);
    if (status == KT_OK)
        status = kt_job_name_namespaces(job, err);
    if (status == KT_OK)
        kt_job_check_metadata(job);
    return status;
}

enum kt_status kt_job_set_up(struct kt_job *job, struct kt_error *err)
{
    job->command = command_of(job->options.kind);
    if (!job->command)
        return kt_fail(err, KT_E_USAGE, "unknown kind of job");
    job->team.want = KT_BATCH_NBYTES;
    job->failures.named = job->options.failures;
    bool rewrap = job->command == &kt_command_rewrap;
    enum kt_status status = kt_job_check_options(job, err);
    if (status == KT_OK)
        status = open_ground(job, err);
    if (status == KT_OK)
        status = kt_live_wanted(&job->options) ? kt_live_open(job, err) : open_source(job, err);
    if (status == KT_OK)
        status = check_lists(job, err);
    if (status == KT_OK && !rewrap)
        status = open_keys(job, err);
    if (status == KT_OK && job->command->open)
        status = job->command->open(job, err);
    if (status == KT_OK)
        status = open_team(job, err);
    if (status == KT_OK)
        status = job->live ? kt_live_prepare(job, err) : open_sink(job, err);
    return status;
}

static void close_worker(struct kt_worker *worker)
{
    kt_dek_cache_free(worker->cache);
    kt_slice_free(worker->slice);
    free(worker->pointers.v);
    kt_engine_close(worker->engine);
}

void kt_job_tear_down(struct kt_job *job)
{
    /* First, so that no answer comes for what is freed below. */
    kt_kms_strategies_stop(job->kms);
    if (job->command && job->command->close)
        job->command->close(job);
    kt_live_close(job->live);
    kt_sink_close(job->sink, false);
    kt_source_close(job->source);
    if (job->team_open)
        kt_team_free(&job->team);
    for (int i = 0; job->workers && i < job->threads; i++)
        close_worker(&job->workers[i]);
    free(job->workers);
    free(job->team.workers);
    kt_failures_free(&job->failures);
    kt_only_free(job->only);
    kt_job_free_namespaces(job);
    kt_key_table_free(job->table);
    kt_cmks_free(&job->key_cmks);
    kt_kms_draft_free(&job->kms_draft);
    kt_vault_file_close(job->vault);
    kt_vault_mongo_close(job->vault_server);
    kt_schema_map_free(job->schemas);
    kt_kms_strategies_free(job->kms);
    kt_providers_free(job->providers);
    kt_engine_close(job->engine);
    kt_secmem_close(job->secmem);
}
