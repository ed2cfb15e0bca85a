/* SPDX-License-Identifier: Apache-2.0 */
/* What a live job keeps on the cluster: who works, how far each range came. live_join.c: which job that is;
 * live_end.c closes it. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "io/mongo/guard.h"
#include "jobs/lane.h"
#include "jobs/live_join.h"
#include "jobs/resume.h"

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
    enum kt_status status = kt_live_cut(live, ns, err);
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

/* Everything that can be refused, before anything is written for any namespace but its lease. */
static enum kt_status may_begin(struct kt_live *live, struct kt_live_ns *ns, const uint8_t *sessions,
                                struct kt_error *err)
{
    ns->state =
        (struct kt_state_job){.state_db = live->state_db, .ns = ns->ns->name, .partitions = live->parts};
    snprintf(ns->state.command, sizeof ns->state.command, "%s", live->job->command->name);
    enum kt_status status = name_job(live, ns, err);
    if (status == KT_OK)
        status = take_lease(live, ns, sessions, err);
    return status == KT_OK ? kt_live_may_join(live, ns, err) : status;
}

static enum kt_status begin_writing(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    enum kt_status status = kt_live_join(live, ns, err);
    if (status == KT_OK)
        status = alloc_ranges(live, ns, err);
    if (status == KT_OK && ns->ranges_count)
        status = kt_state_ranges_take(live->target, &ns->state, live->owner.id, (uint32_t)live->part,
                                      (uint32_t)live->parts, ns->ranges, err);
    if (status == KT_OK && ns->ranges_count)
        status = still_there(live, ns, err);
    return status == KT_OK ? load_counts(live, ns, err) : status;
}

static enum kt_status begin_all(struct kt_live *live, const uint8_t *sessions, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++)
        status = may_begin(live, &live->namespaces[i], sessions, err);
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++)
        status = begin_writing(live, &live->namespaces[i], err);
    return status;
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
    if (status == KT_OK)
        status = begin_all(live, sessions, err);
    free(sessions);
    return status;
}
