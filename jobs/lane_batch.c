/* SPDX-License-Identifier: Apache-2.0 */
/* One batch of a lane, from the read to the commit. */
#include <stdlib.h>

#include "common/clock.h"
#include "jobs/lane.h"

/* What messages speak of instead of a file. */
static const struct kt_entry no_entry = {.file = "", .ns = ""};

static void lane_ready(struct kt_key_waiter *waiter)
{
    struct kt_job_batch *batch =
        (struct kt_job_batch *)((char *)waiter - offsetof(struct kt_job_batch, waiter));
    struct kt_live_lane *lane = batch->owner;
    pthread_mutex_lock(&lane->lock);
    lane->ready = true;
    pthread_cond_signal(&lane->ready_changed);
    pthread_mutex_unlock(&lane->lock);
}

void kt_lane_await(struct kt_live_lane *lane)
{
    lane->ready = false;
    lane->batch.waiter.ready = lane_ready;
}

void kt_lane_wait_for_keys(struct kt_live_lane *lane)
{
    atomic_store(&lane->live->waiting_for, "KMS");
    pthread_mutex_lock(&lane->lock);
    while (!lane->ready)
        pthread_cond_wait(&lane->ready_changed, &lane->lock);
    pthread_mutex_unlock(&lane->lock);
    atomic_store(&lane->live->waiting_for, NULL);
}

static uint32_t batch_limit(const struct kt_live_lane *lane)
{
    uint64_t fit = lane->average ? KT_LANE_NBYTES / lane->average : lane->limit;
    uint32_t limit = fit < lane->limit ? (uint32_t)fit : lane->limit;
    /* At a given pace all lanes together begin with a quarter of a second's work. */
    double paced = lane->live->job->options.max_docs_per_second / 4 / lane->live->lanes_count;
    if (paced > 0 && paced < limit)
        limit = (uint32_t)paced;
    return limit ? limit : 1;
}

struct kt_range_read kt_lane_range(const struct kt_live_lane *lane)
{
    const struct kt_live_ns *ns = lane->ns;
    const struct kt_state_range *range = lane->range;
    uint32_t n = range->n;
    bool begun = kt_id_is_set(&range->at);
    return (struct kt_range_read){.db = ns->db,
                                  .coll = ns->coll,
                                  .from = begun   ? &range->at
                                          : n > 0 ? &ns->state.bounds[n - 1]
                                                  : NULL,
                                  .to = lane->is_last ? NULL : &ns->state.bounds[n],
                                  .from_is_done = begun,
                                  .projection = ns->whole ? NULL : &ns->projection,
                                  .query = lane->live->query,
                                  .limit = batch_limit(lane)};
}

enum kt_txn_end kt_lane_read(struct kt_live_lane *lane, struct kt_lane *by, uint32_t *count,
                             struct kt_error *err)
{
    struct kt_range_read read = kt_lane_range(lane);
    size_t *nbytes = &lane->batch.piece.nbytes;
    *count = 0;
    *nbytes = 0;
    if (read.from_is_done && kt_id_is_max_key(read.from))
        return KT_TXN_OK;
    enum kt_txn_end end = kt_txn_find(by, &read, &lane->batch.in, nbytes, count, err);
    if (end != KT_TXN_OK || *count || !lane->is_last || !read.from)
        return end;
    /* A lower bound without an upper one leaves it out. */
    read.max_key = true;
    read.from_is_done = false;
    return kt_txn_find(by, &read, &lane->batch.in, nbytes, count, err);
}

/* A server that shows what was done before would be asked for ever. */
static enum kt_status check_last_id(struct kt_live_lane *lane)
{
    const char *ns = lane->ns->ns->name;
    if (!kt_id_is_set(&lane->to))
        return kt_fail(&lane->batch.error, KT_E_NET, "%s: the server shows a document without an _id", ns);
    if (kt_id_equal(&lane->to, &lane->range->at))
        return kt_fail(&lane->batch.error, KT_E_NET,
                       "%s: behind the document that was done last the server shows that one again", ns);
    return KT_OK;
}

enum kt_status kt_lane_note_last_id(struct kt_live_lane *lane)
{
    const struct kt_job_batch *batch = &lane->batch;
    if (batch->docs_count == 0)
        return KT_E_FORMAT;
    const struct kt_doc *last = &batch->docs[batch->docs_count - 1];
    enum kt_status status = kt_id_of_doc(&lane->to, batch->in.data + last->at, last->nbytes);
    lane->average = batch->piece.nbytes / batch->docs_count;
    return status == KT_OK ? check_last_id(lane) : status;
}

static enum kt_txn_end fail(struct kt_live_lane *lane, enum kt_status status, struct kt_error *err)
{
    const char *said = lane->batch.error.message;
    kt_txn_abort(&lane->session);
    kt_fail(err, status, "%s%s%s", *said ? "" : lane->ns->ns->name, *said ? "" : ": ",
            *said ? said : kt_status_text(status));
    return KT_TXN_FAILED;
}

/* Plans and seals, or opens. */
static enum kt_txn_end process(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_job *job = lane->live->job;
    struct kt_job_batch *batch = &lane->batch;
    bool parked = false;
    kt_lane_await(lane);
    enum kt_status status = job->command->process(job, lane->worker, batch, &parked);
    if (parked) {
        /* No transaction waits for a KMS: it is made again, from a fresh read. */
        kt_txn_abort(&lane->session);
        kt_lane_wait_for_keys(lane);
        return KT_TXN_AGAIN;
    }
    if (status == KT_OK)
        status = kt_lane_note_last_id(lane);
    return status == KT_OK ? KT_TXN_OK : fail(lane, status, err);
}

/* Statement of a command to the document behind it. */
static enum kt_txn_end take_out(struct kt_live_lane *lane, const struct kt_lane_command *command,
                                struct kt_error *err)
{
    char text[160];
    const struct kt_fault *fault = &lane->session.fault;
    if ((uint64_t)fault->index >= command->count) {
        kt_fail(err, KT_E_NET, "%s: the server refuses statement %ld of %u: error %d", lane->ns->ns->name,
                fault->index + 1, command->count, fault->code);
        return KT_TXN_FAILED;
    }
    uint32_t doc = lane->statement_docs[command->first + (uint32_t)fault->index];
    enum kt_status status = kt_lane_refuse(lane, doc, kt_fault_reason(fault, text, sizeof text));
    return status == KT_OK ? KT_TXN_REFUSED : fail(lane, status, err);
}

static enum kt_txn_end update(struct kt_live_lane *lane, struct kt_error *err)
{
    for (size_t i = 0; i < lane->commands_count; i++) {
        const struct kt_lane_command *command = &lane->commands[i];
        struct kt_span bytes = kt_span_of(lane->batch.out.data + command->at, command->nbytes);
        enum kt_txn_end end = kt_txn_write_all(&lane->session, lane->ns->db, bytes, command->count, err);
        if (end == KT_TXN_REFUSED)
            return take_out(lane, command, err);
        if (end != KT_TXN_OK)
            return end;
    }
    return KT_TXN_OK;
}

/* The range as it stands after this batch. */
static enum kt_txn_end move(struct kt_live_lane *lane, struct kt_error *err)
{
    bson_t counts = BSON_INITIALIZER;
    struct kt_counts sum;
    enum kt_status status = kt_counts_init(&sum, lane->total.paths_count);
    enum kt_txn_end end = KT_TXN_FAILED;
    if (status != KT_OK)
        return fail(lane, status, err);
    kt_counts_add(&sum, &lane->total);
    kt_counts_add(&sum, &lane->batch.counts);
    if (!kt_counts_save(&sum, &counts))
        end = fail(lane, KT_E_NOMEM, err);
    else
        end = kt_state_range_move(&lane->session, &lane->ns->state, lane->live->owner.id, lane->range,
                                  lane->ended ? &lane->range->at : &lane->to, lane->ended, &counts, err);
    kt_counts_free(&sum);
    bson_destroy(&counts);
    return end;
}

/* After an outcome that stays unknown, or a checkpoint that is not where it was: what the cluster says. */
static enum kt_txn_end ask_checkpoint(struct kt_live_lane *lane, enum kt_txn_end end, struct kt_error *err)
{
    struct kt_live *live = lane->live;
    struct kt_state_range now;
    struct kt_error why;
    if (lane->session.fault.away)
        return KT_TXN_FAILED; /* nobody to ask; the next run reads it */
    const struct kt_id *to = lane->ended ? &lane->range->at : &lane->to;
    kt_state_range_init(&now, lane->range->n);
    enum kt_status status = kt_state_range_read(live->target, &lane->ns->state, &now, &why);
    bool ours = status == KT_OK && memcmp(now.owner, live->owner.id, sizeof now.owner) == 0;
    if (ours && now.done == lane->ended && kt_id_equal(&now.at, to))
        end = KT_TXN_OK;
    else if (ours && !now.done && kt_id_equal(&now.at, &lane->range->at))
        end = KT_TXN_AGAIN;
    else if (status != KT_OK && end == KT_TXN_UNKNOWN)
        end = KT_TXN_FAILED; /* err says what the commit met; the next run reads the checkpoint */
    else {
        kt_fail(err, KT_E_NET, "%s: lease lost: another keyturn has taken this job over", lane->ns->ns->name);
        end = KT_TXN_LOST;
    }
    kt_state_range_free(&now);
    return end;
}

enum kt_txn_end kt_lane_commit(struct kt_live_lane *lane, struct kt_error *err)
{
    struct kt_job_batch *batch = &lane->batch;
    enum kt_txn_end end = KT_TXN_OK;
    if (batch->failures.nbytes)
        end = kt_state_failures_put(&lane->session, &lane->ns->state, lane->range->n,
                                    kt_span_of(batch->failures.data, batch->failures.nbytes), err);
    if (end == KT_TXN_OK)
        end = move(lane, err);
    if (end == KT_TXN_REFUSED) {
        /* No document is to blame, so nothing can be left out. */
        kt_fault_fail(&lane->session.fault, kt_mongo_name(lane->live->target), "writing the checkpoint", true,
                      err);
        return KT_TXN_FAILED;
    }
    if (end == KT_TXN_OK)
        end = kt_txn_commit(&lane->session, KT_LANE_COMMIT_MS, err);
    if (end == KT_TXN_UNKNOWN || end == KT_TXN_LOST)
        end = ask_checkpoint(lane, end, err);
    return end;
}

/* The range goes on from behind the batch. */
enum kt_txn_end kt_lane_settle(struct kt_live_lane *lane, struct kt_error *err)
{
    kt_counts_add(&lane->total, &lane->batch.counts);
    if (lane->ended) {
        lane->range->done = true;
        return KT_TXN_OK;
    }
    return kt_id_copy(&lane->range->at, &lane->to) == KT_OK ? KT_TXN_OK : fail(lane, KT_E_NOMEM, err);
}

void kt_lane_clear(struct kt_live_lane *lane)
{
    struct kt_job_batch *batch = &lane->batch;
    kt_job_batch_clear(batch);
    batch->error.message[0] = 0;
    batch->piece = (struct kt_piece){.kind = KT_PIECE_DOCS};
    batch->entry = &no_entry;
    batch->ns = lane->ns->ns;
    batch->owner = lane;
    lane->ended = false;
    lane->commands_count = lane->statements_count = 0;
}

enum kt_txn_end kt_lane_batch(struct kt_live_lane *lane, struct kt_error *err)
{
    uint32_t count;
    kt_lane_clear(lane);
    enum kt_txn_end end = kt_txn_begin(&lane->session, err);
    if (end == KT_TXN_OK)
        end = kt_lane_read(lane, &lane->session, &count, err);
    if (end != KT_TXN_OK)
        return end;
    lane->ended = count == 0;
    if (!lane->ended)
        end = process(lane, err);
    if (end == KT_TXN_OK && !lane->live->reads_only)
        end = update(lane, err);
    if (end == KT_TXN_OK && !lane->live->reads_only)
        end = kt_lane_commit(lane, err);
    return end == KT_TXN_OK ? kt_lane_settle(lane, err) : end;
}
