/* SPDX-License-Identifier: Apache-2.0 */
#include "keyturn/state.h"

#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mongo/client.h"
#include "io/mongo/reply.h"
#include "io/mongo/state.h"

struct reading {
    struct kt_state_list *list;
};

static const char *text_at(const bson_t *doc, const char *dotted, const char *otherwise)
{
    bson_iter_t iter, at;
    return bson_iter_init(&iter, doc) && bson_iter_find_descendant(&iter, dotted, &at) &&
                   BSON_ITER_HOLDS_UTF8(&at)
               ? bson_iter_utf8(&at, NULL)
               : otherwise;
}

static int64_t number_at(const bson_t *doc, const char *dotted)
{
    bson_iter_t iter, at;
    return bson_iter_init(&iter, doc) && bson_iter_find_descendant(&iter, dotted, &at)
               ? bson_iter_as_int64(&at)
               : 0;
}

static struct kt_state_entry *entry_of(struct kt_state_list *list, const char *ns)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].ns, ns) == 0)
            return &list->entries[i];
    }
    struct kt_state_entry *more = realloc(list->entries, (list->count + 1) * sizeof *more);
    if (!more)
        return NULL;
    list->entries = more;
    more[list->count] = (struct kt_state_entry){0};
    snprintf(more[list->count].ns, sizeof more->ns, "%s", ns);
    return &more[list->count++];
}

static void take_job(struct kt_state_entry *entry, const bson_t *doc)
{
    bson_iter_t iter, bounds;
    snprintf(entry->command, sizeof entry->command, "%s", text_at(doc, "command", "?"));
    entry->partitions = (int)number_at(doc, "partitions");
    entry->begun_ms = bson_iter_init_find(&iter, doc, "begun") && BSON_ITER_HOLDS_DATE_TIME(&iter)
                          ? bson_iter_date_time(&iter)
                          : 0;
    entry->ranges = 1;
    if (bson_iter_init_find(&iter, doc, "bounds") && bson_iter_recurse(&iter, &bounds)) {
        while (bson_iter_next(&bounds))
            entry->ranges++;
    }
}

static void take_range(struct kt_state_entry *entry, const bson_t *doc)
{
    bson_iter_t iter;
    entry->ranges_done += bson_iter_init_find(&iter, doc, "done") && bson_iter_as_bool(&iter);
    entry->documents +=
        kt_reply_figure(doc, "counts.ns.documents") + kt_reply_figure(doc, "counts.keys.read");
    entry->values += kt_reply_figure(doc, "counts.ns.values") + kt_reply_figure(doc, "counts.keys.rewrapped");
    entry->failed += kt_reply_figure(doc, "counts.ns.failed") + kt_reply_figure(doc, "counts.keys.failed");
}

static void take_lease(struct kt_state_entry *entry, const bson_t *doc)
{
    bson_iter_t iter;
    if (bson_iter_init_find(&iter, doc, "expired") && bson_iter_as_bool(&iter))
        return;
    entry->workers++;
    snprintf(entry->worker, sizeof entry->worker, "process %lld on %s", (long long)number_at(doc, "pid"),
             text_at(doc, "host", "?"));
}

static enum kt_status take(void *context, const bson_t *doc, struct kt_error *err)
{
    struct reading *reading = context;
    const char *ns = text_at(doc, "_id.ns", NULL), *is = text_at(doc, "_id.is", "");
    if (!ns)
        return KT_OK;
    struct kt_state_entry *entry = entry_of(reading->list, ns);
    if (!entry)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (strcmp(is, "job") == 0)
        take_job(entry, doc);
    else if (strcmp(is, "range") == 0)
        take_range(entry, doc);
    else if (strcmp(is, "lease") == 0)
        take_lease(entry, doc);
    return KT_OK;
}

/* [{$addFields: {expired: {$lt: ["$expires", "$$NOW"]}}}]: the server's clock decides. */
static enum kt_status read_all(struct kt_mongo *mongo, const char *state_db, struct reading *reading,
                               struct kt_error *err)
{
    bson_t pipeline = BSON_INITIALIZER, stages, stage, add, expired, less;
    char ns[80];
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);
    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$addFields", &add);
    BSON_APPEND_DOCUMENT_BEGIN(&add, "expired", &expired);
    BSON_APPEND_ARRAY_BEGIN(&expired, "$lt", &less);
    BSON_APPEND_UTF8(&less, "0", "$expires");
    BSON_APPEND_UTF8(&less, "1", "$$NOW");
    bson_append_array_end(&expired, &less);
    bson_append_document_end(&add, &expired);
    bson_append_document_end(&stage, &add);
    bson_append_document_end(&stages, &stage);
    bson_append_array_end(&pipeline, &stages);
    snprintf(ns, sizeof ns, "%s." KT_STATE_CHECKPOINTS, state_db);
    enum kt_status status = kt_mongo_aggregate(mongo, ns, &pipeline, NULL, take, reading, err);
    bson_destroy(&pipeline);
    return status;
}

enum kt_status kt_state_list_read(struct kt_state_list *list, const char *uri, const char *state_db,
                                  struct kt_error *err)
{
    struct kt_mongo *mongo;
    struct reading reading = {list};
    *list = (struct kt_state_list){0};
    if (!kt_mongo_is_uri(uri))
        return kt_fail(err, KT_E_USAGE,
                       "--jobs needs a server (mongodb://...): jobs on files keep their checkpoint "
                       "beside their output");
    enum kt_status status = kt_mongo_open(&mongo, uri, "--from", 2, NULL, err);
    if (status != KT_OK)
        return status;
    snprintf(list->server, sizeof list->server, "%.120s", kt_mongo_name(mongo));
    status = read_all(mongo, state_db ? state_db : KT_STATE_DB, &reading, err);
    kt_mongo_close(mongo);
    return status;
}

void kt_state_list_free(struct kt_state_list *list)
{
    free(list->entries);
    *list = (struct kt_state_list){0};
}
