/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/file_checks.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/indexes.h"

struct place {
    struct kt_job *job;
    const char *ns;
};

static enum kt_status index_found(void *context, enum kt_index_loss loss, const struct kt_rule *rule,
                                  const char *index, const char *what, struct kt_error *err)
{
    const struct place *place = context;
    (void)rule, (void)err;
    if (loss != KT_INDEX_LESS)
        kt_job_warn(place->job, "%s: index %s of its metadata: %s%s", place->ns, index, what,
                    loss == KT_INDEX_BREAKS ? "; a restore would fail on it" : "");
    return KT_OK;
}

/* Whether a property of a JSON schema takes BinData of subtype 6. */
static bool takes_sealed(const bson_t *property)
{
    bson_iter_t iter, types;
    if (bson_iter_init_find(&iter, property, "type"))
        return false;
    if (!bson_iter_init_find(&iter, property, "bsonType"))
        return true;
    if (BSON_ITER_HOLDS_UTF8(&iter))
        return strcmp(bson_iter_utf8(&iter, NULL), "binData") == 0;
    bool taken = !BSON_ITER_HOLDS_ARRAY(&iter) || !bson_iter_recurse(&iter, &types);
    while (!taken && bson_iter_next(&types))
        taken = BSON_ITER_HOLDS_UTF8(&types) && strcmp(bson_iter_utf8(&types, NULL), "binData") == 0;
    return taken;
}

/* The schema of the field at a dotted path. False: it says nothing about it. */
static bool property_at(const bson_t *schema, const char *path, bson_t *out)
{
    bson_t here, properties; /* a bson_t that is copied still points into the first */
    if (!bson_init_static(&here, bson_get_data(schema), schema->len))
        return false;
    while (kt_document_at(&here, "properties", &properties)) {
        size_t n = strcspn(path, ".");
        bson_iter_t iter;
        uint32_t nbytes;
        const uint8_t *data;
        if (!bson_iter_init_find_w_len(&iter, &properties, path, (int)n) || !BSON_ITER_HOLDS_DOCUMENT(&iter))
            return false;
        bson_iter_document(&iter, &nbytes, &data);
        if (!bson_init_static(&here, data, nbytes))
            return false;
        if (!path[n])
            return bson_init_static(out, data, nbytes);
        path += n + 1;
    }
    return false;
}

static void check_validator(const struct place *place, const bson_t *metadata, const struct kt_rule *rule)
{
    bson_t options, schema, property;
    bson_iter_t action;
    if (!kt_document_at(metadata, "options", &options) ||
        !kt_document_at(&options, "validator.$jsonSchema", &schema))
        return;
    bool only_warns = bson_iter_init_find(&action, &options, "validationAction") &&
                      BSON_ITER_HOLDS_UTF8(&action) && strcmp(bson_iter_utf8(&action, NULL), "warn") == 0;
    if (!only_warns && property_at(&schema, rule->path, &property) && !takes_sealed(&property))
        kt_job_warn(place->job,
                    "%s: the validator of its metadata wants another type than binData at %s: restore with "
                    "--bypassDocumentValidation, or change it first",
                    place->ns, rule->path);
}

static void check_entry(struct kt_job *job, const struct kt_namespace *ns, const struct kt_entry *entry)
{
    struct place place = {job, ns->name};
    bson_t indexes;
    bson_t *metadata = bson_new_from_json((const uint8_t *)entry->metadata, -1, NULL);
    if (!metadata) {
        kt_job_warn(job, "%s: its metadata is no Extended JSON: its indexes and validator are not looked at",
                    ns->name);
        return;
    }
    bool has_indexes = kt_document_at(metadata, "indexes", &indexes);
    for (size_t i = 0; i < kt_schema_rules(ns->schema); i++) {
        const struct kt_rule *rule = kt_schema_rule(ns->schema, i);
        /* Nothing that is found here ends the search. */
        if (has_indexes)
            (void)!kt_indexes_search(&indexes, rule, false, index_found, &place, NULL);
        check_validator(&place, metadata, rule);
    }
    bson_destroy(metadata);
}

void kt_job_check_metadata(struct kt_job *job)
{
    const struct kt_entry *entry;
    if (job->command != &kt_command_encrypt)
        return;
    for (uint32_t i = 0; (entry = kt_source_entry(job->source, i)); i++) {
        const struct kt_namespace *ns = entry->metadata ? kt_job_entry_namespace(job, entry) : NULL;
        if (ns && ns->schema)
            check_entry(job, ns, entry);
    }
}
