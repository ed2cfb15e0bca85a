/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/live_join.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/live_checks.h"

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

enum kt_status kt_live_cut(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
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

/* A small collection may have fewer ranges than there are partitions. */
static bool has_ranges(const struct kt_live *live, const struct kt_live_ns *ns)
{
    return (size_t)live->part < ns->state.ranges_count;
}

/* The job that is there, the caller's to free when it is found, and ours to go on with. */
static enum kt_status find(struct kt_live *live, const struct kt_live_ns *ns, struct kt_state_job *there,
                           bool *found, struct kt_error *err)
{
    *there = (struct kt_state_job){.state_db = live->state_db, .ns = ns->ns->name};
    enum kt_status status = kt_state_job_read(live->target, there, found, err);
    if (status == KT_OK && *found)
        status = refuse_other(live, ns, there, err);
    if (status != KT_OK)
        kt_state_job_free(there);
    return status;
}

/* Another part may have begun since it was looked for, and have filled the target. */
static bool begun_since(struct kt_live *live, const struct kt_live_ns *ns)
{
    struct kt_state_job there;
    struct kt_error unused;
    bool found = false;
    bool ours = live->parts > 1 && find(live, ns, &there, &found, &unused) == KT_OK && found;
    if (ours)
        kt_state_job_free(&there);
    return ours;
}

enum kt_status kt_live_may_join(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    struct kt_state_job there;
    bool found = false;
    enum kt_status status = find(live, ns, &there, &found, err);
    if (status == KT_OK)
        kt_state_job_free(&there);
    if (found && live->job->options.forget) {
        found = false;
        status = KT_OK;
    }
    if (status != KT_OK || found)
        return status;
    status = kt_live_cut(live, ns, err);
    if (status == KT_OK && live->copies && has_ranges(live, ns))
        status = kt_live_check_copy(live, ns, err);
    return status == KT_E_EXISTS && begun_since(live, ns) ? KT_OK : status;
}

static void take_over(struct kt_live_ns *ns, const struct kt_state_job *there)
{
    kt_state_job_free(&ns->state);
    ns->state.bounds = there->bounds;
    ns->state.ranges_count = there->ranges_count;
    ns->state.backup = there->backup;
    memcpy(ns->state.id, there->id, sizeof there->id);
    ns->joined = true;
}

/* Stays without a job where this part has no ranges: who would close it, when the others have ended? */
static enum kt_status begin_job(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    memcpy(ns->state.id, live->owner.id, sizeof ns->state.id);
    enum kt_status status = ns->state.ranges_count ? KT_OK : kt_live_cut(live, ns, err);
    if (status != KT_OK || !has_ranges(live, ns))
        return status;
    if (live->copies)
        status = kt_live_begin_copy(live, ns, err);
    if (status == KT_E_EXISTS && begun_since(live, ns))
        return KT_OK;
    if (status == KT_OK && live->job->command == &kt_command_rewrap)
        status = begin_backup(live, ns, err);
    return status == KT_OK ? kt_state_job_insert(live->target, &ns->state, &ns->joined, err) : status;
}

enum kt_status kt_live_join(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    if (live->job->options.forget)
        status = kt_state_forget(live->target, live->state_db, ns->ns->name, err);
    for (int round = 0; round < 3 && status == KT_OK && !ns->joined; round++) {
        struct kt_state_job there;
        bool found;
        status = find(live, ns, &there, &found, err);
        if (status == KT_OK && found)
            take_over(ns, &there);
        else if (status == KT_OK)
            status = begin_job(live, ns, err);
        if (status == KT_OK && !ns->joined && !has_ranges(live, ns))
            return KT_OK;
    }
    return status == KT_OK ? resume_backup(live, ns, err) : status;
}

enum kt_status kt_live_join_late(struct kt_live *live, struct kt_live_ns *ns, struct kt_error *err)
{
    struct kt_state_job there;
    bool found = false;
    if (ns->joined)
        return KT_OK;
    enum kt_status status = find(live, ns, &there, &found, err);
    if (status == KT_OK && found)
        take_over(ns, &there);
    return status == KT_E_OTHER_JOB || status == KT_E_FORMAT ? KT_OK : status;
}
