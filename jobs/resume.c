/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/resume.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "io/mongo/client.h"

#define CHECKPOINT_VERSION 2

static bool append_optional(bson_t *doc, const char *key, const char *value)
{
    return value ? BSON_APPEND_UTF8(doc, key, value) : BSON_APPEND_NULL(doc, key);
}

static bool append_path(bson_t *doc, const char *key, const char *name)
{
    char full[PATH_MAX];
    /* Its state lies on the server itself; the way there, and the password on it, may change. */
    if (kt_mongo_is_uri(name))
        return append_optional(doc, key, "a server");
    return append_optional(doc, key, name && realpath(name, full) ? full : name);
}

static bool append_list(bson_t *doc, const char *key, const char *const *list)
{
    bson_t items;
    bool ok = BSON_APPEND_ARRAY_BEGIN(doc, key, &items);
    for (uint32_t i = 0; ok && list && list[i]; i++) {
        char number[16];
        const char *name;
        bson_uint32_to_string(i, &name, number, sizeof number);
        ok = BSON_APPEND_UTF8(&items, name, list[i]);
    }
    return ok && bson_append_array_end(doc, &items);
}

static bool append_document(bson_t *doc, const char *key, struct kt_span bson)
{
    return bson_append_binary(doc, key, -1, BSON_SUBTYPE_BINARY, bson.data, (uint32_t)bson.nbytes);
}

/* Everything that decides what the output will be. Threads, backend and limits may change between runs. */
static bool describe(const struct kt_job *job, bson_t *doc)
{
    const struct kt_job_options *o = &job->options;
    return BSON_APPEND_UTF8(doc, "command", job->command->name) && append_path(doc, "from", o->from) &&
           append_path(doc, "keyVault", o->key_vault) &&
           append_optional(doc, "keyVaultNamespace", o->key_vault_namespace) &&
           append_list(doc, "nsInclude", o->ns_include) && append_list(doc, "nsExclude", o->ns_exclude) &&
           append_document(doc, "schemaMap", o->schema_map.bson) &&
           append_optional(doc, "provider", o->provider) &&
           append_document(doc, "masterKey", o->master_key.bson) &&
           append_document(doc, "filter", o->filter.bson) && append_document(doc, "query", o->query.bson) &&
           BSON_APPEND_INT64(doc, "olderThanMs", o->older_than_ms) && append_path(doc, "only", o->only) &&
           BSON_APPEND_BOOL(doc, "leave", o->leave_unencryptable) &&
           BSON_APPEND_BOOL(doc, "allOrNothing", o->all_or_nothing);
}

enum kt_status kt_job_fingerprint(const struct kt_job *job, const bson_t *more, char hex[65])
{
    bson_t doc = BSON_INITIALIZER;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned nbytes = 0;
    bool ok = describe(job, &doc) && (!more || bson_concat(&doc, more)) &&
              EVP_Digest(bson_get_data(&doc), doc.len, digest, &nbytes, EVP_sha256(), NULL) == 1;
    for (unsigned i = 0; ok && i < nbytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    bson_destroy(&doc);
    return ok ? KT_OK : KT_E_NOMEM;
}

static bool save_namespaces(const struct kt_job *job, bson_t *out)
{
    bson_t list, item;
    bool ok = BSON_APPEND_ARRAY_BEGIN(out, "namespaces", &list);
    for (size_t i = 0; ok && i < job->namespaces_count; i++) {
        char number[16];
        const char *key;
        bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);
        ok = BSON_APPEND_DOCUMENT_BEGIN(&list, key, &item) &&
             BSON_APPEND_UTF8(&item, "name", job->namespaces[i].name) &&
             kt_counts_save(&job->namespaces[i].counts, &item) && bson_append_document_end(&list, &item);
    }
    return ok && bson_append_array_end(out, &list);
}

enum kt_status kt_job_checkpoint(struct kt_job *job, const bson_t *position, struct kt_error *err)
{
    bson_t doc = BSON_INITIALIZER;
    char hex[65];
    enum kt_status status = kt_job_fingerprint(job, NULL, hex);
    bool ok = status == KT_OK && BSON_APPEND_INT32(&doc, "keyturn", CHECKPOINT_VERSION) &&
              BSON_APPEND_UTF8(&doc, "command", job->command->name) && BSON_APPEND_UTF8(&doc, "job", hex) &&
              BSON_APPEND_DOCUMENT(&doc, "source", position) && save_namespaces(job, &doc) &&
              (!job->command->save || job->command->save(job, &doc));
    status = ok ? kt_failures_save(&job->failures, &doc, err) : kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (status == KT_OK)
        status = kt_sink_checkpoint(job->sink, &doc, err);
    bson_destroy(&doc);
    return status;
}

static enum kt_status damaged(const struct kt_job *job, struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "the checkpoint of %s.part is damaged; --forget begins anew",
                   job->options.to);
}

static enum kt_status load_namespaces(struct kt_job *job, const bson_t *doc, struct kt_error *err)
{
    bson_iter_t list, item;
    size_t i = 0;
    if (!bson_iter_init_find(&list, doc, "namespaces") || !BSON_ITER_HOLDS_ARRAY(&list) ||
        !bson_iter_recurse(&list, &item))
        return damaged(job, err);
    for (; bson_iter_next(&item) && i < job->namespaces_count; i++) {
        const uint8_t *data;
        uint32_t nbytes;
        bson_t counts;
        if (!BSON_ITER_HOLDS_DOCUMENT(&item))
            return damaged(job, err);
        bson_iter_document(&item, &nbytes, &data);
        if (!bson_init_static(&counts, data, nbytes) || !kt_counts_load(&job->namespaces[i].counts, &counts))
            return damaged(job, err);
        job->failed += job->namespaces[i].counts.ns.failed + job->namespaces[i].counts.keys.failed;
    }
    return i == job->namespaces_count ? KT_OK : damaged(job, err);
}

static enum kt_status same_job(const struct kt_job *job, const bson_t *doc, struct kt_error *err)
{
    bson_iter_t iter;
    char hex[65];
    if (kt_job_fingerprint(job, NULL, hex) != KT_OK)
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    if (!bson_iter_init_find(&iter, doc, "keyturn") || !BSON_ITER_HOLDS_INT32(&iter) ||
        bson_iter_int32(&iter) != CHECKPOINT_VERSION)
        return kt_fail(err, KT_E_OTHER_JOB,
                       "%s.part was begun by another version of keyturn; --forget drops it and begins anew",
                       job->options.to);
    if (!bson_iter_init_find(&iter, doc, "job") || !BSON_ITER_HOLDS_UTF8(&iter))
        return damaged(job, err);
    if (strcmp(bson_iter_utf8(&iter, NULL), hex) == 0)
        return KT_OK;
    const char *command = bson_iter_init_find(&iter, doc, "command") && BSON_ITER_HOLDS_UTF8(&iter)
                              ? bson_iter_utf8(&iter, NULL)
                              : "job";
    return kt_fail(
        err, KT_E_OTHER_JOB,
        "%s.part belongs to an unfinished %s with other options or another input; repeat that command to "
        "finish it, or drop it with --forget",
        job->options.to, command);
}

static enum kt_status take_up(struct kt_job *job, const bson_t *doc, struct kt_error *err)
{
    bson_iter_t iter;
    const uint8_t *data;
    uint32_t nbytes;
    bson_t position;
    enum kt_status status = same_job(job, doc, err);
    if (status != KT_OK)
        return status;
    if (!bson_iter_init_find(&iter, doc, "source") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
        return damaged(job, err);
    bson_iter_document(&iter, &nbytes, &data);
    if (!bson_init_static(&position, data, nbytes))
        return damaged(job, err);
    status = kt_source_seek(job->source, &position, err);
    if (status == KT_OK)
        status = load_namespaces(job, doc, err);
    if (status == KT_OK && job->command->load && !job->command->load(job, doc))
        status = damaged(job, err);
    if (status == KT_OK)
        status = kt_failures_load(&job->failures, doc, err);
    if (status == KT_OK)
        status = kt_sink_resume(job->sink, err);
    job->result.resumed = status == KT_OK;
    return status;
}

enum kt_status kt_job_resume(struct kt_job *job, struct kt_error *err)
{
    const bson_t *doc = kt_sink_position(job->sink);
    if (!doc || job->options.forget)
        return kt_sink_restart(job->sink, err);
    return take_up(job, doc, err);
}

enum kt_status kt_job_look(const struct kt_job *job, struct kt_error *err)
{
    struct kt_sink *sink;
    enum kt_status status = kt_sink_look(&sink, job->options.to, job->source, err);
    if (status == KT_OK && kt_sink_position(sink) && !job->options.forget)
        status = same_job(job, kt_sink_position(sink), err);
    kt_sink_close(sink, false);
    return status;
}
