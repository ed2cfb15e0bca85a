/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/team.h"

#include <stdlib.h>

#include "common/clock.h"

/* A checkpoint syncs the output: seldom enough to cost nothing, often enough that little is done twice. */
#define CHECKPOINT_NS 1000000000ull
#define CHECKPOINT_NBYTES ((uint64_t)256 << 20)

/* Beyond one batch per worker: one being read, one being written, and slack for uneven speed. */
#define EXTRA_BATCHES 3

size_t kt_team_batches(int threads)
{
    return (size_t)threads + EXTRA_BATCHES;
}

enum kt_status kt_team_init(struct kt_team *team, size_t rules_max)
{
    kt_queue_init(&team->free);
    kt_queue_init(&team->ready);
    kt_queue_init(&team->done);
    size_t count = kt_team_batches(team->threads);
    team->batches = calloc(count, sizeof *team->batches);
    if (!team->batches)
        return KT_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        enum kt_status status = kt_job_batch_init(&team->batches[i], rules_max);
        team->batches_count = i + 1;
        if (status != KT_OK)
            return status;
        team->batches[i].owner = team;
        kt_queue_push(&team->free, &team->batches[i]);
    }
    return KT_OK;
}

void kt_team_free(struct kt_team *team)
{
    for (size_t i = 0; i < team->batches_count; i++)
        kt_job_batch_free(&team->batches[i]);
    free(team->batches);
    team->batches = NULL;
    team->batches_count = 0;
    kt_queue_destroy(&team->free);
    kt_queue_destroy(&team->ready);
    kt_queue_destroy(&team->done);
}

const char *kt_team_waiting_for(const struct kt_team *team)
{
    if (atomic_load(&team->parked) > 0)
        return "KMS";
    if (atomic_load(&team->writing))
        return "output";
    return atomic_load(&team->reading) ? "input" : NULL;
}

static void read_piece(struct kt_team *team, struct kt_job_batch *batch)
{
    atomic_store(&team->reading, 1);
    batch->status = kt_source_next(team->source, team->want, &batch->in, &batch->piece, &batch->error);
    atomic_store(&team->reading, 0);
    if (batch->status != KT_OK)
        return;
    if (batch->piece.kind != KT_PIECE_END) {
        batch->entry = kt_source_entry(team->source, batch->piece.entry);
        batch->result = kt_span_of(batch->in.data, batch->piece.nbytes);
        team->work.route(team->work.context, batch);
    }
    if (team->sink)
        batch->status = kt_source_save(team->source, &batch->position);
    uint64_t total;
    kt_source_progress(team->source, &batch->source_nbytes, &total);
    atomic_store(&team->nbytes_total, total);
}

/* The last batch that it hands on ends the pipeline: the source's end, a failure, or a stop. */
static void *reader_main(void *arg)
{
    struct kt_team *team = arg;
    struct kt_job_batch *batch;
    for (uint64_t seq = 0; (batch = kt_queue_pop(&team->free)); seq++) {
        kt_job_batch_clear(batch);
        batch->seq = seq;
        if (atomic_load(&team->stop))
            batch->status = kt_fail(&batch->error, KT_E_STOPPED, "stopped by request");
        else
            read_piece(team, batch);
        bool last = batch->status != KT_OK || batch->piece.kind == KT_PIECE_END;
        kt_queue_push(last || !batch->ns ? &team->done : &team->ready, batch);
        if (last)
            break;
    }
    return NULL;
}

static void waiter_ready(struct kt_key_waiter *waiter)
{
    struct kt_job_batch *batch =
        (struct kt_job_batch *)((char *)waiter - offsetof(struct kt_job_batch, waiter));
    struct kt_team *team = batch->owner;
    atomic_fetch_sub(&team->parked, 1);
    kt_queue_push(&team->ready, batch);
}

static void worker_main(struct kt_team *team, void *worker)
{
    struct kt_job_batch *batch;
    while ((batch = kt_queue_pop(&team->ready))) {
        bool parked = false;
        batch->waiter.ready = waiter_ready;
        enum kt_status status = team->work.process(team->work.context, worker, batch, &parked);
        if (parked) {
            /* The waiter may have been called already: the batch is no longer ours. */
            atomic_fetch_add(&team->parked, 1);
            continue;
        }
        batch->status = status;
        kt_queue_push(&team->done, batch);
    }
}

struct writer {
    struct kt_team *team;
    struct kt_job_batch **waiting; /* by seq modulo the pool's size */
    uint64_t next_seq, since_nbytes, since_ns;
    bson_t position; /* behind the last batch written */
    bool unsaved;
};

static enum kt_status checkpoint(struct writer *w, struct kt_error *err)
{
    struct kt_team *team = w->team;
    if (!team->sink || !w->unsaved || kt_sink_is_stream(team->sink))
        return KT_OK;
    w->since_nbytes = 0;
    w->since_ns = kt_clock_ns();
    w->unsaved = false;
    return team->work.checkpoint(team->work.context, &w->position, err);
}

static enum kt_status write_batch(struct writer *w, struct kt_job_batch *batch, struct kt_error *err)
{
    struct kt_team *team = w->team;
    enum kt_status status = KT_OK;
    if (team->sink) {
        atomic_store(&team->writing, 1);
        status = kt_sink_put(team->sink, batch->entry, &batch->piece, batch->result, err);
        atomic_store(&team->writing, 0);
    }
    if (status == KT_OK)
        status = team->work.written(team->work.context, batch, err);
    atomic_fetch_add(&team->documents, batch->counts.ns.documents + batch->counts.keys.read);
    atomic_fetch_add(&team->values, batch->counts.ns.values + batch->counts.keys.rewrapped);
    atomic_fetch_add(&team->failed, batch->counts.ns.failed + batch->counts.keys.failed);
    atomic_store(&team->nbytes_done, batch->source_nbytes);
    bson_destroy(&w->position);
    bson_copy_to(&batch->position, &w->position);
    w->unsaved = true;
    w->since_nbytes += batch->result.nbytes;
    return status;
}

/* Takes batches as they come and puts them out in order. Returns when the pipeline is at its end. */
static enum kt_status write_all(struct writer *w, struct kt_error *err)
{
    struct kt_team *team = w->team;
    struct kt_job_batch *batch;
    while ((batch = kt_queue_pop(&team->done))) {
        w->waiting[batch->seq % team->batches_count] = batch;
        while ((batch = w->waiting[w->next_seq % team->batches_count])) {
            w->waiting[w->next_seq++ % team->batches_count] = NULL;
            if (batch->status != KT_OK)
                return kt_fail(err, batch->status, "%s", batch->error.message);
            if (batch->piece.kind == KT_PIECE_END)
                return KT_OK;
            enum kt_status status = write_batch(w, batch, err);
            kt_queue_push(&team->free, batch);
            if (status == KT_OK &&
                (w->since_nbytes >= CHECKPOINT_NBYTES || kt_clock_ns() - w->since_ns >= CHECKPOINT_NS))
                status = checkpoint(w, err);
            if (status != KT_OK) {
                /* When the output itself failed, its last checkpoint stands. */
                w->unsaved = w->unsaved && status == KT_E_LIMIT;
                return status;
            }
        }
    }
    return kt_fail(err, KT_E_INTERNAL, "the pipeline ended early");
}

static void *writer_main(void *arg)
{
    struct kt_team *team = arg;
    struct writer w = {.team = team, .since_ns = kt_clock_ns()};
    bson_init(&w.position);
    w.waiting = calloc(team->batches_count, sizeof *w.waiting);
    team->status =
        w.waiting ? write_all(&w, &team->error) : kt_fail(&team->error, KT_E_NOMEM, "memory ran out");
    if (team->status != KT_OK && w.unsaved) {
        /* What was written before the failure is kept; the failure itself is the news. */
        struct kt_error ignored;
        if (checkpoint(&w, &ignored) != KT_OK && team->status == KT_E_STOPPED)
            team->status = kt_fail(&team->error, ignored.status, "%s", ignored.message);
    }
    free(w.waiting);
    bson_destroy(&w.position);
    kt_source_interrupt(team->source); /* the reader may wait for a pipe that nobody needs any more */
    kt_queue_close(&team->free);
    kt_queue_close(&team->ready);
    return NULL;
}

enum kt_status kt_team_run(struct kt_team *team, struct kt_error *err)
{
    pthread_t reader, writer;
    if (pthread_create(&writer, NULL, writer_main, team) != 0)
        return kt_fail(err, KT_E_NOMEM, "cannot start a thread");
    if (pthread_create(&reader, NULL, reader_main, team) != 0) {
        kt_queue_close(&team->done);
        pthread_join(writer, NULL);
        return kt_fail(err, KT_E_NOMEM, "cannot start a thread");
    }
#pragma omp parallel for num_threads(team->threads) schedule(static, 1)
    for (int i = 0; i < team->threads; i++)
        worker_main(team, team->workers[i]);
    pthread_join(reader, NULL);
    pthread_join(writer, NULL);
    if (team->status != KT_OK)
        return kt_fail(err, team->status, "%s", team->error.message);
    return KT_OK;
}
