/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a live job: no transaction is left open, the lists of failures are on disk, and who is last
 * closes the job. */
#include <stdlib.h>
#include <string.h>

#include "io/mongo/guard.h"
#include "jobs/lane.h"
#include "jobs/live_join.h"

int kt_live_guard_fd(const struct kt_live *live)
{
    return live->job->options.guard_fd > 0 ? live->job->options.guard_fd : -1;
}

uint8_t *kt_live_sessions(const struct kt_live *live)
{
    uint8_t *sessions = malloc(16 * (size_t)live->lanes_count);
    for (int i = 0; sessions && i < live->lanes_count; i++)
        memcpy(sessions + 16 * i, live->lanes[i].session.session_id, 16);
    return sessions;
}

/* After a failure a commit or an abort may have had no answer. */
static bool end_transactions(const struct kt_live *live)
{
    uint8_t *sessions = kt_live_sessions(live);
    bool ok =
        sessions && kt_mongo_kill_sessions(live->target, sessions, (size_t)live->lanes_count, NULL) == KT_OK;
    free(sessions);
    return ok;
}

static enum kt_status put_lines(void *context, struct kt_span lines, struct kt_error *err)
{
    struct kt_live_ns *ns = ((void **)context)[0];
    struct kt_job *job = ((void **)context)[1];
    return kt_failures_put(&job->failures, ns->ns->name, lines, err);
}

/* What this partition could not do, from all its runs. */
static enum kt_status list_failures(struct kt_live *live, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++) {
        struct kt_live_ns *ns = &live->namespaces[i];
        void *context[] = {ns, live->job};
        if (ns->leased && ns->joined && ns->ranges)
            status = kt_state_failures_each(live->target, &ns->state, (uint32_t)live->part,
                                            (uint32_t)live->parts, put_lines, context, err);
    }
    return status;
}

/* Our lists are on disk before the server forgets them. */
static enum kt_status drop_failures(struct kt_live *live, struct kt_error *err)
{
    enum kt_status status = kt_failures_sync(&live->job->failures, err);
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++) {
        if (live->namespaces[i].joined)
            status = kt_state_failures_drop(live->target, &live->namespaces[i].state, (uint32_t)live->part,
                                            (uint32_t)live->parts, err);
    }
    return status;
}

/* As long as another partition has not listed its own failures, the job stays open; who ends last closes it.
 * So jobs of others are looked for after our lines are gone: whoever began one later sees that nothing of
 * ours is left. A namespace without a job waits for part 0, which has ranges everywhere, or was closed. */
static enum kt_status close_if_done(struct kt_live *live, struct kt_error *err)
{
    uint64_t left = 0;
    enum kt_status status = drop_failures(live, err);
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++)
        status = kt_live_join_late(live, &live->namespaces[i], err);
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK && left == 0; i++) {
        if (live->namespaces[i].joined)
            status = kt_state_left(live->target, &live->namespaces[i].state, &left, err);
    }
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK && left == 0; i++) {
        if (live->namespaces[i].joined)
            status = kt_state_drop(live->target, &live->namespaces[i].state, err);
    }
    return status;
}

/* What was to be done as a whole and was not leaves nothing to go on from. */
static enum kt_status drop_all(struct kt_live *live, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < live->namespaces_count && status == KT_OK; i++) {
        if (live->namespaces[i].joined)
            status = kt_state_drop(live->target, &live->namespaces[i].state, err);
    }
    return status;
}

enum kt_status kt_live_end_state(struct kt_live *live, enum kt_status ended, bool all_done,
                                 struct kt_error *err)
{
    enum kt_status status = KT_OK;
    bool whole = live->job->options.all_or_nothing;
    bool away = atomic_load(&live->away), quiet = ended == KT_OK;
    if (!live->reads_only && !away) {
        quiet = quiet || end_transactions(live);
        status = whole ? drop_all(live, err) : list_failures(live, err);
        if (status == KT_OK && all_done && !whole)
            status = close_if_done(live, err);
    }
    kt_live_keep_end(live);
    /* The leases go last; should that fail, they expire. */
    for (size_t i = 0; i < live->namespaces_count && !away; i++) {
        struct kt_live_ns *ns = &live->namespaces[i];
        if (ns->leased)
            (void)!kt_lease_release(live->target, &ns->lease, &live->owner, NULL);
        ns->leased = false;
    }
    /* Else the guard stays: it ends what is open as soon as a server answers. */
    if (quiet && !away)
        kt_guard_dismiss(kt_live_guard_fd(live));
    return status;
}
