/* SPDX-License-Identifier: Apache-2.0 */
/* What a live job keeps on the cluster: who works, how the _ids are cut, how far each range came. live_end.c
 * closes it. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "io/mongo/guard.h"
#include "jobs/lane.h"
#include "jobs/live_checks.h"
#include "jobs/resume.h"

/* Ranges per lane and per partition: enough that lanes end at about the same time. */
#define RANGES_A_LANE 8
#define RANGES_A_PART 32
#define RANGE_DOCS_MIN 2000

static size_t wanted_ranges(const struct kt_live *live, const struct kt_live_ns *ns)
{
    size_t wanted = (size_t)live->lanes_count * RANGES_A_LANE, fit = ns->facts.documents / RANGE_DOCS_MIN;
    if (live->parts > 1)
        wanted = (size_t)live->parts * RANGES_A_PART;
    if (wanted > fit)
        wanted = fit;
    if (live->job->options.all_or_nothing)
        wanted = 1;
    return wanted < (size_t)live->parts ? (size_t)live->parts : wanted;
}

static enum kt_status cut(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    size_t parts = wanted_ranges(live, ns), count = 0;
    ns->state.bounds = calloc(parts, sizeof *ns->state.bounds);
    if (!ns->state.bounds)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    enum kt_status status = ns->facts.kind == KT_COLL_MISSING ? KT_OK
                                                              : kt_coll_cut(live->mongo, ns->ns->name, parts,
                                                                            ns->state.bounds, &count, err);
    ns->state.ranges_count = count + 1;
    return status;
}

static enum kt_status alloc_ranges(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    size_t count = 0;
    for (size_t n = (size_t)live->part; n < ns->state.ranges_count; n += (size_t)live->parts)
        count++;
    ns->ranges = KT_LIVE_NEW(struct kt_state_range, count);
    if (!ns->ranges)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    ns->ranges_count = count;
    for (size_t i = 0; i < count; i++)
        kt_state_range_init(&ns->ranges[i], (uint32_t)(live->part + (int)i * live->parts));
    return KT_OK;
}

static enum kt_status begin_reading(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    ns->state = (struct kt_state_job){.ns = ns->ns->name, .partitions = live->parts};
    enum kt_status status = cut(live, ns, err);
    return status == KT_OK ? alloc_ranges(live, ns, err) : status;
}

static bool waiting(void *context, const char *holder)
{
    struct kt_live *live = context;
    if (!atomic_load(&live->waiting_for))
        kt_log(live->job->log, KT_LOG_WARN, "another keyturn holds the lease (%s): waiting up to %d s for it",
               holder, KT_LEASE_WAIT_MS / 1000);
    atomic_store(&live->waiting_for, "another keyturn's lease");
    return !kt_live_ending(live);
}

static enum kt_status take_lease(struct kt_live *live, struct kt_live_ns *ns, const uint8_t *sessions,
                                 struct kt_error *err)
{
    ns->lease = (struct kt_lease_name){.state_db = live->state_db,
                                       .ns = ns->ns->name,
                                       .part = live->part,
                                       .command = live->job->command->name,
                                       .job = ns->state.job};
    enum kt_status status = kt_lease_take(live->target, &ns->lease, &live->owner, sessions,
                                          (size_t)live->lanes_count, waiting, live, err);
    atomic_store(&live->waiting_for, NULL);
    pthread_mutex_lock(&live->lock);
    ns->leased = status == KT_OK;
    pthread_mutex_unlock(&live->lock);
    return status;
}

static enum kt_status refuse_other(const struct kt_live *live, const struct kt_live_ns *ns,
                                   const struct kt_state_job *there, struct kt_error *err)
{
    if (there->partitions != live->parts)
        return kt_fail(
            err, KT_E_OTHER_JOB,
            "%s: its unfinished %s is cut into %d partitions, not %d; say --partition i/%d, or drop it with "
            "--forget",
            ns->ns->name, there->command, there->partitions, live->parts, there->partitions);
    if (strcmp(there->job, ns->state.job) != 0)
        return kt_fail(
            err, KT_E_OTHER_JOB,
            "%s: an unfinished %s%s is on it; repeat that command to finish it, or drop its state with "
            "--forget",
            ns->ns->name, there->command,
            strcmp(there->command, ns->state.command) == 0 ? " with other options" : "");
    return KT_OK;
}

/* Its name is part of the job: who goes on with it appends to the same file. */
static enum kt_status begin_backup(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    if (!live->backup.name)
        status = kt_backup_create(&live->backup, live->job->options.backup, err);
    if (status != KT_OK)
        return status;
    ns->state.backup = strdup(live->backup.name);
    return ns->state.backup ? KT_OK : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

static void warn_of_second_backup(struct kt_live *live, const char *first, bool there)
{
    if (there)
        kt_job_warn(
            live->job,
            "%s, which should be the backup of the earlier run, is none and stays as it is: what this "
            "run changes goes to %s; keep the earlier one if it is elsewhere",
            first, live->backup.name);
    else
        kt_job_warn(
            live->job,
            "the backup %s of the earlier run is not here: what this run changes goes to %s; keep both",
            first, live->backup.name);
}

/* On another machine, or when it was moved, a second file begins. */
static enum kt_status resume_backup(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    if (live->backup.name || live->job->command != &kt_command_rewrap)
        return KT_OK;
    enum kt_status found =
        ns->state.backup ? kt_backup_append(&live->backup, ns->state.backup, err) : KT_E_USAGE;
    if (found != KT_E_USAGE && found != KT_E_FORMAT)
        return found;
    kt_backup_close(&live->backup);
    enum kt_status status = kt_backup_create(&live->backup, live->job->options.backup, err);
    if (status == KT_OK && ns->state.backup)
        warn_of_second_backup(live, ns->state.backup, found == KT_E_FORMAT);
    return status;
}

/* The namespace's job: one that is there and is ours, or a new one. */
static enum kt_status join_job(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    bool found, ours = false;
    for (int round = 0; round < 3 && !ours; round++) {
        struct kt_state_job there = {.state_db = live->state_db, .ns = ns->ns->name};
        enum kt_status status = kt_state_job_read(live->target, &there, &found, err);
        if (found && live->job->options.forget && round == 0) {
            kt_state_job_free(&there);
            status = kt_state_forget(live->target, live->state_db, ns->ns->name, err);
            found = false;
        }
        if (status == KT_OK && found)
            status = refuse_other(live, ns, &there, err);
        if (status != KT_OK || found) {
            if (status == KT_OK) {
                kt_state_job_free(&ns->state);
                ns->state.bounds = there.bounds;
                ns->state.ranges_count = there.ranges_count;
                memcpy(ns->state.id, there.id, sizeof there.id);
                ns->state.backup = there.backup;
            } else
                kt_state_job_free(&there);
            return status;
        }
        kt_state_job_free(&ns->state);
        memcpy(ns->state.id, live->owner.id, sizeof ns->state.id);
        status = live->copies ? kt_live_begin_copy(live, ns, err) : KT_OK;
        if (status == KT_OK)
            status = cut(live, ns, err);
        if (status == KT_OK && live->job->command == &kt_command_rewrap)
            status = begin_backup(live, ns, err);
        if (status == KT_OK)
            status = kt_state_job_insert(live->target, &ns->state, &ours, err);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

/* Another part may have closed the job since it was read: its ranges would be done anew, and for nobody. */
static enum kt_status still_there(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    struct kt_state_job now = {.state_db = live->state_db, .ns = ns->ns->name};
    bool found;
    enum kt_status status = kt_state_job_read(live->target, &now, &found, err);
    if (status == KT_OK && (!found || memcmp(now.id, ns->state.id, sizeof now.id) != 0))
        status =
            kt_fail(err, KT_E_OTHER_JOB,
                    "%s: the job was closed by another partition a moment ago; the same command begins anew",
                    ns->ns->name);
    kt_state_job_free(&now);
    return status;
}

/* Earlier runs' figures are this job's. */
static enum kt_status load_counts(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    struct kt_counts counts;
    enum kt_status status = kt_counts_init(&counts, ns->ns->counts.paths_count);
    for (size_t i = 0; i < ns->ranges_count && status == KT_OK; i++) {
        const bson_t *saved = &ns->ranges[i].counts;
        kt_counts_clear(&counts);
        if (bson_count_keys(saved) == 0)
            continue;
        live->job->result.resumed = true;
        if (!kt_counts_load(&counts, saved))
            status = KT_E_FORMAT;
        kt_counts_add(&ns->ns->counts, &counts);
    }
    kt_counts_free(&counts);
    if (status != KT_OK)
        return kt_fail(err, status, "%s: the figures of its checkpoint are damaged; --forget begins anew",
                       ns->ns->name);
    const struct kt_ns_counts *docs = &ns->ns->counts.ns;
    const struct kt_key_counts *keys = &ns->ns->counts.keys;
    struct kt_team *team = &live->job->team;
    live->job->failed += docs->failed + keys->failed;
    atomic_fetch_add(&team->documents, docs->documents + keys->read);
    atomic_fetch_add(&team->nbytes_done, docs->documents + keys->read);
    atomic_fetch_add(&team->values, docs->values + keys->rewrapped);
    atomic_fetch_add(&team->failed, docs->failed + keys->failed);
    return KT_OK;
}

/* A checkpoint means something for the very collection that it was made on, and for one target alone. */
static enum kt_status name_job(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    bson_t more = BSON_INITIALIZER;
    bool ok = BSON_APPEND_BINARY(&more, "collection", BSON_SUBTYPE_UUID, ns->facts.uuid, 16) &&
              BSON_APPEND_UTF8(&more, "toDatabase", live->copies ? ns->to_db : "") &&
              kt_job_fingerprint(live->job, &more, ns->state.job) == KT_OK;
    bson_destroy(&more);
    return ok ? KT_OK : kt_fail(err, KT_E_NOMEM, "memory ran out");
}

static enum kt_status begin_writing(struct kt_live *live, struct kt_live_ns *ns, const uint8_t *sessions,
                                    struct kt_error *err)
{
    ns->state =
        (struct kt_state_job){.state_db = live->state_db, .ns = ns->ns->name, .partitions = live->parts};
    snprintf(ns->state.command, sizeof ns->state.command, "%s", live->job->command->name);
    enum kt_status status = name_job(live, ns, err);
    if (status == KT_OK)
        status = take_lease(live, ns, sessions, err);
    if (status == KT_OK)
        status = join_job(live, ns, err);
    if (status == KT_OK)
        status = resume_backup(live, ns, err);
    if (status == KT_OK)
        status = alloc_ranges(live, ns, err);
    if (status == KT_OK && ns->ranges_count)
        status = kt_state_ranges_take(live->target, &ns->state, live->owner.id, (uint32_t)live->part,
                                      (uint32_t)live->parts, ns->ranges, err);
    if (status == KT_OK)
        status = still_there(live, ns, err);
    return status == KT_OK ? load_counts(live, ns, err) : status;
}

enum kt_status kt_live_begin_state(struct kt_live *live, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < live->namespaces_count && live->reads_only && status == KT_OK; i++)
        status = begin_reading(live, &live->namespaces[i], err);
    if (live->reads_only)
        return status;
    size_t count = (size_t)live->lanes_count;
    uint8_t *sessions = kt_live_sessions(live);
    if (!sessions)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    status = kt_owner_self(&live->owner, err);
    if (status == KT_OK)
        status = kt_guard_tell(kt_live_guard_fd(live), live->target, sessions, count, err);
    if (status == KT_OK)
        status = kt_state_create(live->target, live->state_db, err);
    if (status == KT_OK)
        status = kt_live_keep(live, err);
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++)
        status = begin_writing(live, &live->namespaces[i], sessions, err);
    free(sessions);
    return status;
}
