/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/live.h"

#include <stdlib.h>
#include <string.h>

#include "io/mongo/guard.h"
#include "jobs/lane.h"
#include "jobs/live_checks.h"
#include "jobs/live_whole.h"
#include "jobs/rewrap.h"

/* Beside the lanes': the key vault's, the lease's, the checkpoint's. */
#define MORE_CLIENTS 6

int kt_guard_main(int fd)
{
    return kt_guard_serve(fd);
}

void *kt_live_alloc(size_t alignment, size_t count, size_t nbytes)
{
    size_t total = (count ? count : 1) * nbytes;
    void *items = count > SIZE_MAX / nbytes ? NULL : aligned_alloc(alignment, total);
    if (items)
        memset(items, 0, total);
    return items;
}

bool kt_live_wanted(const struct kt_job_options *options)
{
    return (!options->to || (options->kind != KT_JOB_REWRAP && kt_mongo_is_uri(options->to))) &&
           kt_mongo_is_uri(options->kind == KT_JOB_REWRAP ? options->key_vault : options->from);
}

enum kt_status kt_live_open(struct kt_job *job, struct kt_error *err)
{
    struct kt_live *live = calloc(1, sizeof *live);
    if (!live)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    const struct kt_job_options *options = &job->options;
    job->live = live;
    live->job = job;
    live->reads_only = options->dry_run || !job->command->writes;
    live->state_db = options->checkpoint ? options->checkpoint : KT_STATE_DB;
    live->parts = options->partitions > 0 ? options->partitions : 1;
    live->part = options->partition;
    job->failures.part = live->part;
    job->failures.parts = live->parts;
    live->backup.fd = -1;
    pthread_mutex_init(&live->lock, NULL);
    pthread_mutex_init(&live->backup_lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&live->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (live->part < 0 || live->part >= live->parts)
        return kt_fail(err, KT_E_USAGE, "--partition %d/%d: the first is 0 and the last %d", live->part,
                       live->parts, live->parts - 1);
    bool rewrap = job->command == &kt_command_rewrap;
    unsigned clients = (unsigned)job->threads * (rewrap ? 2 : 1) + MORE_CLIENTS;
    enum kt_status status =
        rewrap ? kt_mongo_open(&live->mongo, options->key_vault, "--key-vault", clients, job->log, err)
               : kt_mongo_open(&live->mongo, options->from, "--from", clients, job->log, err);
    live->query_option = rewrap ? "--filter" : "--query";
    struct kt_span query = rewrap ? options->filter.bson : options->query.bson;
    if (status == KT_OK && query.data) {
        live->query = bson_new_from_data(query.data, query.nbytes);
        if (!live->query)
            status = kt_fail(err, KT_E_USAGE, "%s is no BSON document", live->query_option);
    }
    live->target = live->mongo;
    live->copies = options->to != NULL;
    if (status == KT_OK && live->copies)
        status = kt_mongo_open(&live->target, options->to, "--to", clients, job->log, err);
    if (status == KT_OK)
        status = kt_live_check_server(live, err);
    if (status == KT_OK)
        status = kt_live_read_schemas(live, err);
    if (status == KT_OK)
        status = kt_live_name_namespaces(live, err);
    return status == KT_OK ? kt_live_check_rights(live, err) : status;
}

enum kt_status kt_live_prepare(struct kt_job *job, struct kt_error *err)
{
    struct kt_live *live = job->live;
    size_t rules = 0;
    job->lay_out = live->copies ? NULL : kt_live_lay_out;
    for (size_t i = 0; i < job->namespaces_count; i++) {
        if (job->namespaces[i].counts.paths_count > rules)
            rules = job->namespaces[i].counts.paths_count;
    }
    live->lanes = KT_LIVE_NEW(struct kt_live_lane, (size_t)job->threads);
    if (!live->lanes)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    enum kt_status status = KT_OK;
    while (live->lanes_count < job->threads && status == KT_OK) {
        struct kt_live_lane *lane = &live->lanes[live->lanes_count];
        status = kt_lane_init(lane, live, &job->workers[live->lanes_count], rules, err);
        live->lanes_count++;
    }
    if (status == KT_OK && job->options.all_or_nothing)
        status = kt_live_check_whole(live, kt_rewrap_matching(job->state), err);
    return status == KT_OK ? kt_live_sample(live, err) : status;
}

void kt_live_close(struct kt_live *live)
{
    if (!live)
        return;
    for (int i = 0; i < live->lanes_count; i++)
        kt_lane_free(&live->lanes[i]);
    free(live->lanes);
    kt_live_free_namespaces(live);
    bson_destroy(live->query);
    bson_destroy(live->schemas);
    if (live->target != live->mongo)
        kt_mongo_close(live->target);
    kt_mongo_close(live->mongo);
    kt_backup_close(&live->backup);
    pthread_mutex_destroy(&live->backup_lock);
    pthread_mutex_destroy(&live->lock);
    pthread_cond_destroy(&live->changed);
    free(live);
}

static void start_lane(struct kt_live *live, struct kt_live_lane *lane, void *(*main)(void *))
{
    pthread_mutex_lock(&live->lock);
    live->running++;
    pthread_mutex_unlock(&live->lock);
    lane->started = pthread_create(&lane->thread, NULL, main, lane) == 0;
    if (lane->started)
        return;
    pthread_mutex_lock(&live->lock);
    live->running--;
    pthread_mutex_unlock(&live->lock);
}

/* Fewer than wanted will do. */
static void start_lanes(struct kt_live *live, bool whole)
{
    int wanted = whole ? 1 : live->lanes_count;
    for (int i = 0; i < wanted && (i == 0 || live->lanes[i - 1].started); i++)
        start_lane(live, &live->lanes[i], whole ? kt_live_whole_main : kt_lane_main);
    if (!live->lanes[0].started)
        kt_live_fail(live, KT_E_NOMEM, "cannot start a thread");
}

static void wait_for_lanes(struct kt_live *live)
{
    pthread_mutex_lock(&live->lock);
    while (live->running)
        pthread_cond_wait(&live->changed, &live->lock);
    pthread_mutex_unlock(&live->lock);
    for (int i = 0; i < live->lanes_count; i++) {
        if (live->lanes[i].started)
            pthread_join(live->lanes[i].thread, NULL);
    }
}

static bool all_done(const struct kt_live *live)
{
    for (size_t i = 0; i < live->namespaces_count; i++) {
        for (size_t r = 0; r < live->namespaces[i].ranges_count; r++) {
            if (!live->namespaces[i].ranges[r].done)
                return false;
        }
    }
    return true;
}

enum kt_status kt_live_run(struct kt_job *job, struct kt_error *err)
{
    struct kt_live *live = job->live;
    struct kt_error why;
    enum kt_status status = kt_live_begin_state(live, err);
    bool whole = job->options.all_or_nothing && !live->reads_only, done = false;
    if (status == KT_OK) {
        start_lanes(live, whole);
        wait_for_lanes(live);
        pthread_mutex_lock(&live->lock); /* the keeper may fail, too */
        status = live->status;
        pthread_mutex_unlock(&live->lock);
        done = status == KT_OK && all_done(live);
        if (status != KT_OK)
            kt_fail(err, status, "%s", live->error.message);
        else if (!done && !(whole && job->failed))
            status = kt_fail(err, KT_E_STOPPED, "stopped by request");
    }
    for (int i = 0; i < live->lanes_count; i++)
        kt_rewrap_batch_free(job, &live->lanes[i].batch);
    job->result.backup = live->backup.name;
    enum kt_status ended = kt_live_end_state(live, status, done, &why);
    if (status == KT_OK && ended != KT_OK)
        status = kt_fail(err, ended, "%s", why.message);
    return status;
}
