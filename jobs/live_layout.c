/* SPDX-License-Identifier: Apache-2.0 */
/* The update commands of a batch, byte by byte into batch->out, with holes for the engine:
 *   {update: COLL, ordered: true, updates: [{q: {_id: X}, u: {$set: {PATH: VALUE, ...}}}, ...]}
 * q on a sharded collection: live_q.h. */
#include <stdlib.h>

#include "common/array.h"
#include "csfle/bson_type.h"
#include "csfle/layout.h"
#include "jobs/fields.h"
#include "jobs/lane.h"
#include "jobs/live_q.h"

/* Statements of a command are gathered up to this size; a single one may be larger. */
#define COMMAND_NBYTES ((uint64_t)8 << 20)
#define COMMAND_STATEMENTS 50000 /* the server's limit is 100,000 */

/* A document's statement, measured. nbytes 0: it has none. */
struct measured {
    uint64_t set_nbytes, nbytes;
    struct kt_live_q q;
};

static size_t digits(uint32_t n)
{
    size_t count = 1;
    for (; n >= 10; n /= 10)
        count++;
    return count;
}

static uint64_t statement_nbytes(const struct measured *m)
{
    uint64_t u = 4 + 1 + 5 + m->set_nbytes + 1;
    return 4 + 1 + 2 + m->q.nbytes + 1 + 2 + u + 1;
}

static const struct kt_refused *refused_of(const struct kt_live_lane *lane, struct kt_span doc)
{
    struct kt_id id = {0};
    const struct kt_refused *found = NULL;
    if (lane->refused_count == 0 || kt_id_of_doc(&id, doc.data, doc.nbytes) != KT_OK)
        return NULL;
    for (size_t i = 0; i < lane->refused_count && !found; i++) {
        if (kt_id_equal(&lane->refused[i].id, &id))
            found = &lane->refused[i];
    }
    kt_id_free(&id);
    return found;
}

/* What the new values add to the document. */
static int64_t growth(const struct kt_job_batch *batch, const struct kt_doc *doc)
{
    return (int64_t)kt_layout_nbytes(doc->nbytes, batch->ops.v + doc->op_first, doc->op_count) - doc->nbytes;
}

static enum kt_status measure(struct kt_live_lane *lane, const struct kt_layout *layout, struct kt_doc *doc,
                              struct measured *m)
{
    struct kt_job_batch *batch = &lane->batch;
    *m = (struct measured){0};
    if (!kt_doc_changes(batch, doc))
        return KT_OK;
    struct kt_span raw = kt_span_of(batch->in.data + doc->at, doc->nbytes);
    const struct kt_refused *refused = refused_of(lane, raw);
    if (refused)
        return kt_batch_fail_doc(batch, doc, KT_NO_OP, "%s", refused->reason);
    if (!kt_live_q_measure(&m->q, &lane->ns->facts.shard_key, raw))
        return kt_batch_fail_doc(batch, doc, KT_NO_OP, "no update can name a document with this _id");
    m->set_nbytes = kt_layout_set_nbytes(layout, doc->at, batch->ops.v + doc->op_first, doc->op_count);
    if (m->set_nbytes == 0)
        return kt_batch_fail_doc(
            batch, doc, KT_NO_OP,
            "an update cannot name one of its fields: a name on the way contains '.', begins "
            "with '$', is empty or stands twice");
    if (m->set_nbytes > KT_DOC_MAX_NBYTES)
        return kt_batch_fail_doc(batch, doc, KT_NO_OP, "it would grow over the limit of 16 MiB");
    /* Of a part of a document the server alone knows the whole. */
    if (lane->ns->whole && growth(batch, doc) > 0 && doc->nbytes + growth(batch, doc) > KT_DOC_MAX_NBYTES)
        return kt_batch_fail_doc(batch, doc, KT_NO_OP, "it would grow over the limit of 16 MiB");
    m->nbytes = statement_nbytes(m);
    return KT_OK;
}

static uint32_t put_bytes(uint8_t *out, uint32_t at, const void *data, size_t nbytes)
{
    memcpy(out + at, data, nbytes);
    return at + (uint32_t)nbytes;
}

/* A type byte and a name. */
static uint32_t put_name(uint8_t *out, uint32_t at, uint8_t type, const char *name)
{
    out[at++] = type;
    return put_bytes(out, at, name, strlen(name) + 1);
}

static uint32_t put_end(uint8_t *out, uint32_t document, uint32_t at)
{
    out[at++] = 0;
    kt_store_le32(out + document, at - document);
    return at;
}

static uint32_t put_statement(struct kt_job_batch *batch, const struct kt_layout *layout,
                              const struct kt_doc *doc, const struct measured *m, uint32_t at)
{
    uint8_t *out = batch->out.data;
    uint32_t statement = at;
    at = kt_live_q_write(&m->q, out, put_name(out, at + 4, KT_BSON_DOCUMENT, "q"));
    at = put_name(out, at, KT_BSON_DOCUMENT, "u");
    uint32_t u = at;
    at = put_name(out, at + 4, KT_BSON_DOCUMENT, "$set");
    at += kt_layout_set_write(layout, batch->ops.v + doc->op_first, doc->op_count, out, at);
    return put_end(out, statement, put_end(out, u, at));
}

static uint64_t head_nbytes(const char *coll)
{
    return 4 + (1 + 7 + 4 + strlen(coll) + 1) + (1 + 8 + 1) + (1 + 8 + 4);
}

/* Up to the list of statements; *list: where the list's length goes. */
static uint32_t put_head(uint8_t *out, uint32_t at, const char *coll, uint32_t *list)
{
    at = put_name(out, at + 4, KT_BSON_STRING, "update");
    kt_store_le32(out + at, (uint32_t)strlen(coll) + 1);
    at = put_bytes(out, at + 4, coll, strlen(coll) + 1);
    at = put_name(out, at, KT_BSON_BOOL, "ordered");
    out[at++] = 1;
    *list = put_name(out, at, KT_BSON_ARRAY, "updates");
    return *list + 4;
}

/* The command that is being written. */
struct writing {
    uint32_t at, begun, list, count;
    bool open;
};

static enum kt_status open_command(struct kt_live_lane *lane, struct writing *w)
{
    enum kt_status status = kt_array_reserve(&lane->commands, &lane->commands_capacity,
                                             lane->commands_count + 1, sizeof *lane->commands);
    if (status != KT_OK)
        return status;
    w->begun = w->at;
    w->count = 0;
    w->open = true;
    w->at = put_head(lane->batch.out.data, w->at, lane->ns->coll, &w->list);
    lane->commands[lane->commands_count++] =
        (struct kt_lane_command){.at = w->begun, .first = (uint32_t)lane->statements_count};
    return KT_OK;
}

static void close_command(struct kt_live_lane *lane, struct writing *w)
{
    if (!w->open)
        return;
    struct kt_lane_command *command = &lane->commands[lane->commands_count - 1];
    w->at = put_end(lane->batch.out.data, w->list, w->at);
    w->at = put_end(lane->batch.out.data, w->begun, w->at);
    command->nbytes = w->at - w->begun;
    command->count = w->count;
    w->open = false;
}

static enum kt_status add_statement(struct kt_live_lane *lane, const struct kt_layout *layout, uint32_t d,
                                    const struct measured *m, struct writing *w)
{
    struct kt_job_batch *batch = &lane->batch;
    char number[16];
    if (w->open && (w->at - w->begun + m->nbytes > COMMAND_NBYTES || w->count == COMMAND_STATEMENTS))
        close_command(lane, w);
    enum kt_status status = w->open ? KT_OK : open_command(lane, w);
    if (status == KT_OK)
        status = kt_array_reserve(&lane->statement_docs, &lane->statements_capacity,
                                  lane->statements_count + 1, sizeof *lane->statement_docs);
    if (status != KT_OK)
        return status;
    lane->statement_docs[lane->statements_count++] = d;
    snprintf(number, sizeof number, "%u", w->count++);
    w->at = put_name(batch->out.data, w->at, KT_BSON_DOCUMENT, number);
    w->at = put_statement(batch, layout, &batch->docs[d], m, w->at);
    return KT_OK;
}

static void count_doc(struct kt_job_batch *batch, const struct kt_doc *doc, bool changed)
{
    struct kt_ns_counts *counts = &batch->counts.ns;
    uint64_t nbytes = (uint64_t)(doc->nbytes + (changed ? growth(batch, doc) : 0));
    counts->changed += changed;
    counts->failed += doc->failed;
    counts->nbytes_out += nbytes;
    if (nbytes > counts->largest_nbytes_out)
        counts->largest_nbytes_out = nbytes;
}

enum kt_status kt_live_lay_out(struct kt_job *job, struct kt_job_batch *batch)
{
    struct kt_live_lane *lane = batch->owner;
    struct kt_layout layout = kt_fields_layout(job, batch);
    uint64_t total = 0;
    lane->commands_count = lane->statements_count = 0;
    struct measured *measured = calloc(batch->docs_count ? batch->docs_count : 1, sizeof *measured);
    enum kt_status status = measured ? KT_OK : KT_E_NOMEM;
    for (uint32_t d = 0; d < batch->docs_count && status == KT_OK; d++) {
        status = measure(lane, &layout, &batch->docs[d], &measured[d]);
        /* Each might begin a command of its own. */
        if (measured[d].nbytes)
            total += measured[d].nbytes + 2 + digits((uint32_t)batch->docs_count) +
                     head_nbytes(lane->ns->coll) + 2;
    }
    if (status == KT_OK && total > UINT32_MAX)
        status =
            kt_fail(&batch->error, KT_E_TOO_LARGE, "%s: a batch would grow beyond 4 GiB", batch->ns->name);
    if (status == KT_OK)
        status = kt_region_reserve(&batch->out, (size_t)total);
    struct writing w = {0};
    for (uint32_t d = 0; d < batch->docs_count && status == KT_OK; d++) {
        if (measured[d].nbytes)
            status = add_statement(lane, &layout, d, &measured[d], &w);
        count_doc(batch, &batch->docs[d], measured[d].nbytes != 0);
    }
    if (status == KT_OK)
        close_command(lane, &w);
    batch->counts.ns.nbytes_in += batch->piece.nbytes;
    free(measured);
    return status;
}
